//! What can be wrong with a configuration file.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// What can be wrong with a configuration file.
#[derive(Debug, Error)]
pub enum HostConfError {
    /// It is there and cannot be read.
    #[error("The configuration file `{}` cannot be read", path.display())]
    Unreadable {
        /// The file, or the directory of files.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A variable names a file that is not there.
    #[error("`{variable}` names the configuration file `{}`, which is not there", path.display())]
    Missing {
        /// The variable.
        variable: &'static str,
        /// What it holds.
        path: PathBuf,
    },
    /// It is not UTF-8.
    #[error("The configuration file `{}` is not UTF-8 text", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// It is not TOML.
    #[error("`{}`, line {line}: {problem}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where the problem was seen, from 1.
        line: usize,
        /// What the parser says.
        problem: String,
    },
    /// A value of the wrong kind.
    #[error("`{}`, line {line}: `{key}` must be {expected}, not {found}", path.display())]
    WrongType {
        /// The file.
        path: PathBuf,
        /// The value's line.
        line: usize,
        /// The key with its table.
        key: String,
        /// What it should be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// A key that our own file does not have.
    #[error("`{}`, line {line}: unknown key `{key}`", path.display())]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The key's line.
        line: usize,
        /// The key with its table.
        key: String,
        /// What may have been meant.
        nearest: Option<&'static str>,
    },
    /// Our own file says the same thing in two places.
    #[error("`{}` has `{}` and `{}`, which mean the same", path.display(), keys[0], keys[1])]
    Twice {
        /// The file.
        path: PathBuf,
        /// Both keys with their tables.
        keys: [&'static str; 2],
    },
    /// Our own file was written for a newer version.
    #[error(
        "`{}` has format {found}; this version of `machine` reads format {supported}",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The newest that is read.
        supported: u64,
    },
}

impl HostConfError {
    /// What the user can do about it.
    pub fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Unreadable { path, .. } => {
                format!("let this user read `{}`, or move it away", path.display())
            }
            Self::Missing { variable, .. } => {
                format!("unset {variable}, or let it name an existing file")
            }
            Self::NotText { path } => format!("save `{}` as UTF-8", path.display()),
            Self::Syntax { path, line, .. } => {
                format!("correct line {line} of `{}`", path.display())
            }
            Self::WrongType { key, expected, .. } => {
                format!("set `{key}` to {expected}, or remove the line")
            }
            Self::UnknownKey {
                nearest: Some(nearest),
                ..
            } => format!("did you mean `{nearest}`?"),
            Self::UnknownKey { .. } => {
                "remove the line; docs/configuration.md lists the keys".to_owned()
            }
            Self::Twice { .. } => "remove one of the two".to_owned(),
            Self::Newer { .. } => "install the newer `machine`, or remove the file".to_owned(),
        };
        vec![hint]
    }
}
