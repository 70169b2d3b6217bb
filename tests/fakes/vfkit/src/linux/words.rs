//! Options and the lists behind them, as both programs split them.

use std::ffi::OsString;

use super::FakeError;

/// An option as a program knows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// Its name, without dashes.
    pub(super) name: &'static str,
    /// Its letter.
    pub(super) letter: Option<char>,
    /// Whether a value follows.
    pub(super) takes_value: bool,
}

/// An option with a value.
pub(super) const fn value(name: &'static str, letter: Option<char>) -> Known {
    Known {
        name,
        letter,
        takes_value: true,
    }
}

/// An option that stands alone.
pub(super) const fn flag(name: &'static str, letter: Option<char>) -> Known {
    Known {
        name,
        letter,
        takes_value: false,
    }
}

/// What was given, in its order; a flag has an empty value.
#[derive(Debug)]
pub(super) struct Given(Vec<(&'static str, String)>);

impl Given {
    /// Splits a command line of known options and nothing else.
    pub(super) fn parse(words: &[OsString], known: &[Known]) -> Result<Self, FakeError> {
        let usage = |text: String| FakeError::Usage(text);
        let mut given = Vec::new();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let word = text(word)?;
            let (name, attached) = match word.split_once('=') {
                Some((name, value)) if word.starts_with("--") => (name, Some(value.to_owned())),
                _ => (&*word, None),
            };
            let is_it = |option: &&Known| match name.strip_prefix("--") {
                Some(long) => long == option.name,
                None => option
                    .letter
                    .is_some_and(|letter| name == format!("-{letter}")),
            };
            let option = known
                .iter()
                .find(is_it)
                .ok_or_else(|| usage(format!("unknown flag: {name}")))?;
            let value = match (option.takes_value, attached) {
                (false, None) => String::new(),
                (false, Some(_)) => return Err(usage(format!("{name} takes no value"))),
                (true, Some(value)) => value,
                (true, None) => match words.next() {
                    Some(value) => text(value)?,
                    None => return Err(usage(format!("flag needs an argument: {name}"))),
                },
            };
            given.push((option.name, value));
        }
        Ok(Self(given))
    }

    /// The value of an option that may be given once.
    pub(super) fn one(&self, name: &str) -> Result<Option<&str>, FakeError> {
        let mut all = self.all(name);
        let first = all.next();
        if all.next().is_some() {
            return Err(FakeError::Usage(format!("--{name} is given twice")));
        }
        Ok(first)
    }

    /// The values of an option that may be given often.
    pub(super) fn all<'g>(&'g self, name: &str) -> impl Iterator<Item = &'g str> {
        let name = name.to_owned();
        self.0
            .iter()
            .filter(move |(given, _)| *given == name)
            .map(|(_, value)| value.as_str())
    }

    /// The number behind an option.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, FakeError> {
        let Some(text) = self.one(name)? else {
            return Ok(None);
        };
        let number = text.parse();
        let wrong = |_| FakeError::Usage(format!("invalid argument \"{text}\" for --{name}"));
        number.map(Some).map_err(wrong)
    }
}

fn text(word: &OsString) -> Result<String, FakeError> {
    let text = word.to_str().map(str::to_owned);
    text.ok_or_else(|| FakeError::Usage(format!("`{}` is no text", word.display())))
}

/// A device or a bootloader: its name, and `KEY=VALUE` or `KEY` behind it.
#[derive(Debug)]
pub(super) struct Parts {
    /// What comes before the first comma.
    pub(super) name: String,
    pairs: Vec<(String, Option<String>)>,
}

impl Parts {
    /// Splits at each comma: there is no way to write one in a value.
    pub(super) fn split(list: &str) -> Result<Self, FakeError> {
        let mut pieces = list.split(',');
        let name = pieces.next().unwrap_or_default().to_owned();
        let mut pairs: Vec<(String, Option<String>)> = Vec::new();
        for piece in pieces {
            let (key, value) = match piece.split_once('=') {
                Some((key, value)) => (key, Some(value.to_owned())),
                None => (piece, None),
            };
            if pairs.iter().any(|(other, _)| other == key) {
                return Err(FakeError::Usage(format!(
                    "`{key}` stands twice in `{list}`"
                )));
            }
            pairs.push((key.to_owned(), value));
        }
        Ok(Self { name, pairs })
    }

    /// Takes the value of a key.
    pub(super) fn take(&mut self, key: &str) -> Result<Option<String>, FakeError> {
        let Some(place) = self.pairs.iter().position(|(other, _)| other == key) else {
            return Ok(None);
        };
        match self.pairs.remove(place).1 {
            Some(value) if !value.is_empty() => Ok(Some(value)),
            _ => Err(FakeError::Usage(format!(
                "{}: `{key}` needs a value",
                self.name
            ))),
        }
    }

    /// Takes the value of a key that has to be there.
    pub(super) fn need(&mut self, key: &str) -> Result<String, FakeError> {
        let value = self.take(key)?;
        value.ok_or_else(|| FakeError::Usage(format!("{} needs `{key}=`", self.name)))
    }

    /// Takes a word without a value.
    pub(super) fn flag(&mut self, key: &str) -> Result<bool, FakeError> {
        let Some(place) = self.pairs.iter().position(|(other, _)| other == key) else {
            return Ok(false);
        };
        match self.pairs.remove(place).1 {
            None => Ok(true),
            Some(value) => {
                let text = format!("Unexpected value for {} '{key}' option: {value}", self.name);
                Err(FakeError::Usage(text))
            }
        }
    }

    /// Nothing else may stand there.
    pub(super) fn end(self) -> Result<(), FakeError> {
        match self.pairs.first() {
            None => Ok(()),
            Some((key, _)) => Err(FakeError::Usage(format!(
                "Unknown option for {} devices: {key}",
                self.name
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [Known; 2] = [value("device", Some('d')), flag("gui", None)];

    fn parse(words: &[&str]) -> Result<Given, String> {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        Given::parse(&words, &KNOWN).map_err(|error| error.to_string())
    }

    #[test]
    fn options_that_are_known_and_nothing_else() {
        let given = parse(&["--device", "a,b=c", "-d", "d", "--gui", "--device=e=f"]).unwrap();
        let devices: Vec<_> = given.all("device").collect();
        assert_eq!(devices, ["a,b=c", "d", "e=f"]);
        assert_eq!(given.one("gui").unwrap(), Some(""));
        given.one("device").unwrap_err();
        for (wrong, said) in [
            (&["--devices", "a"][..], "unknown flag: --devices"),
            (&["--device"], "flag needs an argument: --device"),
            (&["--gui=yes"], "--gui takes no value"),
            (&["word"], "unknown flag: word"),
            (&["-x"], "unknown flag: -x"),
        ] {
            assert_eq!(parse(wrong).unwrap_err(), said);
        }
    }

    #[test]
    fn a_device_has_its_own_keys() {
        let mut parts = Parts::split("virtio-x,path=/a=b,flag").unwrap();
        assert_eq!(parts.need("path").unwrap(), "/a=b");
        assert!(parts.flag("flag").unwrap());
        parts.end().unwrap();
        Parts::split("virtio-x,a=1,a=2").unwrap_err();
        Parts::split("virtio-x,other").unwrap().end().unwrap_err();
        Parts::split("virtio-x,path=")
            .unwrap()
            .need("path")
            .unwrap_err();
        Parts::split("virtio-x,path")
            .unwrap()
            .need("path")
            .unwrap_err();
        Parts::split("virtio-x,flag=1")
            .unwrap()
            .flag("flag")
            .unwrap_err();
    }
}
