//! What `blkid -p -o export` says about a disk (blkid(8)). Pure.

use super::Problem;

/// A line of a label that is shown.
const SHOWN: usize = 64;
/// More lines than any disk has properties.
const LINES: usize = 64;

/// What a disk was taken for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Signs {
    /// Nothing that is known.
    None,
    /// More than one thing at the same time.
    Several,
    /// This.
    One(Sign),
}

/// A file system, or something of its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sign {
    /// Its name: `ext4`, `LVM2_member`; of a table of partitions: `gpt`.
    pub(super) kind: String,
    /// Whether it is a table of partitions.
    pub(super) partitions: bool,
    /// Its label, if it has one.
    pub(super) label: Option<String>,
}

/// Nothing was found.
const NOTHING: i32 = 2;
/// More than one thing was found.
const AMBIVALENT: i32 = 8;

/// Reads what it said and how it ended. An error is a sentence; what it cannot mean is one too.
pub(super) fn read(code: Option<i32>, said: &str, complained: bool) -> Result<Signs, Problem> {
    match code {
        Some(0) => Ok(Signs::One(sign(said)?)),
        // The same number means that the disk cannot be read.
        Some(NOTHING) if said.trim().is_empty() && !complained => Ok(Signs::None),
        Some(AMBIVALENT) => Ok(Signs::Several),
        _ => Err("`blkid` failed".to_owned()),
    }
}

fn sign(said: &str) -> Result<Sign, Problem> {
    let (mut kind, mut table, mut label) = (None, None, None);
    for (number, line) in said.lines().enumerate() {
        if number == LINES {
            return Err("`blkid` says more than can be".to_owned());
        }
        let Some((name, value)) = line.split_once('=') else {
            return Err(format!("`blkid` says `{}`", shown(line)));
        };
        let place = match name {
            "TYPE" => &mut kind,
            "PTTYPE" => &mut table,
            "LABEL" => &mut label,
            _ => continue,
        };
        if place.replace(unescape(value)).is_some() {
            return Err(format!("`blkid` says `{}` twice", shown(name)));
        }
    }
    let partitions = kind.is_none();
    match kind.or(table) {
        Some(kind) if !kind.is_empty() => Ok(Sign {
            kind,
            partitions,
            label,
        }),
        _ => Err("`blkid` names no type".to_owned()),
    }
}

/// A backslash stands before what a shell would not take for itself.
fn unescape(value: &str) -> String {
    let mut letters = value.chars();
    let mut text = String::new();
    while let Some(letter) = letters.next() {
        let letter = if letter == '\\' {
            letters.next()
        } else {
            Some(letter)
        };
        text.extend(letter);
    }
    text
}

/// What may stand in a sentence, of what a stranger wrote.
pub(super) fn shown(text: &str) -> String {
    let plain = |letter: char| {
        if letter.is_control() || letter == '`' {
            '?'
        } else {
            letter
        }
    };
    text.chars().take(SHOWN).map(plain).collect()
}

impl std::fmt::Display for Sign {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.partitions {
            write!(formatter, "a table of partitions (`{}`)", shown(&self.kind))?;
        } else {
            write!(formatter, "`{}`", shown(&self.kind))?;
        }
        match &self.label {
            Some(label) => write!(formatter, " with the label `{}`", shown(label)),
            None => write!(formatter, " without a label"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_file_system_with_a_label() {
        let said = "DEVNAME=/dev/vdb\nLABEL=we\\ ird\\'\\$x\nUUID=71602c0f\nVERSION=1.0\nTYPE=ext4\nUSAGE=filesystem\n";
        let Signs::One(sign) = read(Some(0), said, false).unwrap() else {
            panic!("another sign");
        };
        assert_eq!((sign.kind.as_str(), sign.partitions), ("ext4", false));
        assert_eq!(sign.label.as_deref(), Some("we ird'$x"));
        assert_eq!(sign.to_string(), "`ext4` with the label `we ird'$x`");
    }

    #[test]
    fn a_table_of_partitions() {
        let said = "DEVNAME=/dev/vdb\nPTUUID=1\nPTTYPE=gpt\n";
        let Signs::One(sign) = read(Some(0), said, false).unwrap() else {
            panic!("another sign");
        };
        assert_eq!(
            sign.to_string(),
            "a table of partitions (`gpt`) without a label"
        );
        // What lies on the whole disk counts for more.
        let said = "PTTYPE=dos\nTYPE=vfat\n";
        assert!(
            matches!(read(Some(0), said, false).unwrap(), Signs::One(sign) if sign.kind == "vfat" && !sign.partitions)
        );
    }

    #[test]
    fn nothing_and_too_much() {
        assert_eq!(read(Some(2), "\n", false), Ok(Signs::None));
        assert_eq!(read(Some(8), "anything", true), Ok(Signs::Several));
        for (code, said, complained) in [
            (Some(2), "", true),
            (Some(2), "TYPE=ext4\n", false),
            (Some(4), "", false),
            (None, "", false),
            (Some(0), "", false),
            (Some(0), "TYPE=\n", false),
            (Some(0), "TYPE=a\nTYPE=b\n", false),
            (Some(0), "TYPE=a\nnonsense\n", false),
        ] {
            read(code, said, complained).unwrap_err();
        }
        let many = "A=b\n".repeat(LINES) + "TYPE=ext4\n";
        read(Some(0), &many, false).unwrap_err();
    }

    #[test]
    fn strangers_words_are_shown_as_words() {
        assert_eq!(shown("a`b\u{1b}[1m\n"), "a?b?[1m?");
        assert_eq!(shown(&"ä".repeat(1000)).chars().count(), SHOWN);
    }

    proptest! {
        /// Whatever is said, there is an answer, and only one that was said is a type.
        #[test]
        fn any_words(code in proptest::option::of(0..10), said in "(?s).{0,300}", complained: bool) {
            if let Ok(Signs::One(sign)) = read(code, &said, complained) {
                prop_assert_eq!(code, Some(0));
                let escaped = said.replace('\\', "");
                prop_assert!(escaped.contains(&sign.kind.replace('\\', "")));
            }
        }
    }
}
