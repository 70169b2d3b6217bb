//! What can go wrong with podman's connections.

use std::io;
use std::path::{Path, PathBuf};

use machine_host::directories::DirectoryError;
use machine_host::lock::LockError;
use thiserror::Error;

/// What can go wrong with podman's connections.
#[derive(Debug, Error)]
pub enum ConnectionError {
    /// The file's place is not known.
    #[error("The place of podman's connections is not known")]
    Place {
        /// Why.
        #[from]
        source: DirectoryError,
    },
    /// The file could not be read.
    #[error("Connections file `{}` could not be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is something else than a file, which might never end or never answer.
    #[error("Connections file `{}` is not a regular file", path.display())]
    NotAFile {
        /// What is not a file.
        path: PathBuf,
    },
    /// The file is no JSON.
    #[error("Connections file `{}` is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong and where.
        source: serde_json::Error,
    },
    /// The file is JSON, and a value has a type that no known podman writes.
    #[error("Connections file `{}` has a form that this version does not know: `{key}` is {found}, not {wanted}", path.display())]
    UnknownForm {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        key: String,
        /// The type that is there.
        found: &'static str,
        /// The type that is known.
        wanted: &'static str,
    },
    /// Another program is changing it.
    #[error("Connections file `{}` is in use by another program", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
        /// What the lock says.
        source: LockError,
    },
    /// It could not be locked for another reason.
    #[error("Connections file `{}` could not be locked", path.display())]
    Lock {
        /// The file.
        path: PathBuf,
        /// What the lock says.
        source: LockError,
    },
    /// The file could not be written; the old one is as it was.
    #[error("Connections file `{}` could not be written", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A path that goes into the file.
    #[error("Path `{}` is not valid Unicode, so podman cannot be told of it", .0.display())]
    NotUnicode(PathBuf),
    /// A new machine's name is taken.
    #[error(
        "system connection \"{name}\" already exists. consider a different machine name or remove the connection with \
         `podman system connection rm`"
    )]
    Taken {
        /// The connection.
        name: String,
    },
    /// There is no such connection (podman's `default` and `rename`).
    #[error(
        "\"{name}\" destination is not defined. See \"podman system connection add ...\" to create a connection"
    )]
    NotDefined {
        /// What was asked for.
        name: String,
    },
}

impl ConnectionError {
    /// What the user can do about it.
    pub fn hints(&self) -> Vec<String> {
        let aside = |path: &Path| {
            format!(
                "repair `{0}`, or move it away and add the connections anew with `machine system connection add`",
                path.display()
            )
        };
        match self {
            Self::Damaged { path, .. } => vec![aside(path)],
            Self::UnknownForm { path, .. } => vec![
                "a newer podman may have written it; a newer `machine` may read it".to_owned(),
                aside(path),
            ],
            Self::NotAFile { .. } => {
                vec!["let `PODMAN_CONNECTIONS_CONF` name a file, or unset it".to_owned()]
            }
            Self::Locked { .. } => {
                vec!["wait for the other `podman` or `machine` command, and try again".to_owned()]
            }
            Self::Read { source, path }
            | Self::Write { source, path }
            | Self::Lock {
                path,
                source: LockError::Open { source, .. } | LockError::Take { source, .. },
            } => denied(path, source),
            Self::Taken { name } => vec![format!(
                "or remove it with `machine system connection remove {name}`"
            )],
            Self::NotDefined { .. } => {
                vec!["list the connections with `machine system connection list`".to_owned()]
            }
            Self::Place { .. } => {
                vec!["set `HOME`, or let `PODMAN_CONNECTIONS_CONF` name the file".to_owned()]
            }
            Self::Lock { .. } | Self::NotUnicode(_) => Vec::new(),
        }
    }
}

/// What helps where the system forbids it.
fn denied(path: &Path, source: &io::Error) -> Vec<String> {
    let directory = path.parent().unwrap_or(path).display();
    match source.kind() {
        io::ErrorKind::PermissionDenied => vec![format!(
            "you need the right to write in `{directory}`, or let `PODMAN_CONNECTIONS_CONF` name a file elsewhere"
        )],
        io::ErrorKind::ReadOnlyFilesystem => vec![format!(
            "the file system of `{directory}` is read-only; let `PODMAN_CONNECTIONS_CONF` name a file elsewhere"
        )],
        _ => Vec::new(),
    }
}
