//! What can be wrong with a packed file.

use std::fmt;
use std::io;

use super::codec::MEMORY_LIMIT;

/// What of a name from an archive is shown.
const SHOWN_CHARACTERS: usize = 80;

/// Why a packed file cannot be unpacked.
#[derive(Debug)]
pub(crate) enum UnpackError {
    /// The file cannot be read.
    Read(io::Error),
    /// Its content is wrong.
    Fault(Fault),
    /// It says itself that it unpacks to more than this.
    TooMuch(u64),
}

impl From<Fault> for UnpackError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// What is wrong with the content of a packed file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The file ends before its content does.
    #[error("it ends too early, after {at} bytes")]
    Truncated {
        /// The length of the file.
        at: u64,
    },
    /// Something follows that is not packed.
    #[error("other data follows its end at byte {at}")]
    Trailing {
        /// Where the other data begins.
        at: u64,
    },
    /// It contradicts itself.
    #[error("it is damaged near byte {at}: {reason}")]
    Corrupt {
        /// About where.
        at: u64,
        /// What the library says.
        reason: String,
    },
    /// It was packed with so much memory that unpacking takes too much.
    #[error("unpacking it takes more than {} MiB of memory", MEMORY_LIMIT >> 20)]
    Memory,
    /// An archive that holds something else than one file.
    #[error("{0}")]
    Archive(ArchiveFault),
}

impl From<ArchiveFault> for Fault {
    fn from(fault: ArchiveFault) -> Self {
        Self::Archive(fault)
    }
}

/// Why an archive is not one file in a wrapping.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveFault {
    /// It holds nothing.
    #[error("the {0} archive holds no file")]
    Empty(&'static str),
    /// It holds a second file.
    #[error("the archive holds more than one file: {first} and {second}")]
    Second {
        /// The first.
        first: EntryName,
        /// The other.
        second: EntryName,
    },
    /// The file would lie in a directory or outside of the one where it is unpacked.
    #[error("the archive holds {0}, which is a path and not the name of a file")]
    Path(EntryName),
    /// It is a link, a directory, a device.
    #[error("the archive holds {name}, which is {what}")]
    NotAFile {
        /// The entry.
        name: EntryName,
        /// What it is, with its article.
        what: &'static str,
    },
    /// Its content is encrypted.
    #[error("the archive holds {0}, which is encrypted")]
    Encrypted(EntryName),
    /// Its content is packed in a way that is not known here.
    #[error("the archive holds {name}, which is packed by {method}")]
    Method {
        /// The entry.
        name: EntryName,
        /// The name of the method, or its number.
        method: String,
    },
    /// A tree of directories as a container or WSL has it.
    #[error("it is a root file system, not a disk: the archive holds {0}")]
    RootFileSystem(EntryName),
}

/// A name that an archive gives, which may be anything.
#[derive(Clone, PartialEq, Eq)]
pub struct EntryName(Vec<u8>);

impl EntryName {
    pub(super) fn new(name: &[u8]) -> Self {
        Self(name.to_vec())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether it leads anywhere but into the directory where it is unpacked. Some programs put `./` before all names.
    pub(super) fn is_path(&self) -> bool {
        let name = self.0.strip_prefix(b"./").unwrap_or(&self.0);
        let separators = |byte: &u8| matches!(byte, b'/' | b'\\' | 0);
        matches!(name, b"" | b"." | b"..") || name.iter().any(separators)
    }
}

impl fmt::Display for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy(&self.0);
        let shown: String = text.chars().take(SHOWN_CHARACTERS).collect();
        let more = if shown.len() < text.len() { "…" } else { "" };
        write!(f, "`{}{more}`", shown.escape_debug())
    }
}

impl fmt::Debug for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_no_path() {
        for name in [&b"disk.raw"[..], b"./disk.raw", b"..raw", b"a b", b"\xff"] {
            assert!(!EntryName::new(name).is_path(), "{name:?}");
        }
        for path in [
            &b""[..],
            b".",
            b"..",
            b"./",
            b"./..",
            b"../disk.raw",
            b"/disk.raw",
            b"a/disk.raw",
            b"a\\disk.raw",
            b"././a",
            b"a\0b",
        ] {
            assert!(EntryName::new(path).is_path(), "{path:?}");
        }
    }

    #[test]
    fn a_name_is_shown_short_and_without_commands_for_terminals() {
        let shown = |name: &[u8]| EntryName::new(name).to_string();
        assert_eq!(shown(b"a\x1b[2J\n"), "`a\\u{1b}[2J\\n`");
        assert_eq!(shown(&[b'x'; 80]), format!("`{}`", "x".repeat(80)));
        assert_eq!(shown(&[b'x'; 81]), format!("`{}…`", "x".repeat(80)));
        assert_eq!(shown(b"\xff"), "`\u{fffd}`");
    }
}
