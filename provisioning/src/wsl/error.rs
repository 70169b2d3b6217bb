//! Why an image cannot be made a tree of ours.

use std::io;

/// Why there is no tree.
#[derive(Debug, thiserror::Error)]
pub enum LayError {
    /// The image could not be read.
    #[error("The image could not be read")]
    Read(#[source] io::Error),
    /// The image ends before its end.
    #[error("The image is cut off")]
    Short,
    /// The result could not be written.
    #[error("The tree could not be written")]
    Write(#[source] io::Error),
    /// The image is no tar file, or not a whole one.
    #[error("The image is no good tar file: {0}")]
    Damaged(&'static str),
    /// A member that no tree can have.
    #[error("`{path}` in the image {what}")]
    Member {
        /// Its path.
        path: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The members take more than was said.
    #[error("The image holds more than {0} bytes")]
    TooMuch(u64),
    /// More members than any system has.
    #[error("The image holds more than {0} files")]
    TooMany(u64),
    /// A list of users is missing.
    #[error("The image has no `/{0}`, so it is no tree of a system")]
    NoUsers(&'static str),
    /// Nothing in it would boot.
    #[error("The image has no systemd, which a machine is run by")]
    NoSystemd,
}

impl LayError {
    pub(super) fn reading(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Short,
            _ => Self::Read(error),
        }
    }
}
