//! What can go wrong with the files of machines.

use std::io;
use std::path::{Path, PathBuf};

use machine_host::lock::LockError;
use thiserror::Error;

use super::layout::LONGEST_SOCKET_PATH;
use crate::machine::MachineName;
use crate::machine::config::ConfigError;

/// What can go wrong with the files of machines.
#[derive(Debug, Error)]
pub enum StoreError {
    /// There is no such machine.
    #[error("{name}: VM does not exist")]
    NotFound {
        /// What was asked for; it may be no name at all.
        name: String,
    },
    /// There is one already.
    #[error("machine \"{name}\" already exists")]
    Exists {
        /// The taken name.
        name: MachineName,
    },
    /// Another command is making it.
    #[error("machine \"{name}\" already exists")]
    BeingMade {
        /// The taken name.
        name: MachineName,
    },
    /// On macOS and Windows the two would be one directory.
    #[error("machine \"{name}\" differs only in case from the existing machine \"{existing}\"")]
    DiffersInCase {
        /// The name that was asked for.
        name: MachineName,
        /// The name that is taken.
        existing: MachineName,
    },
    /// Windows cannot have a directory of this name.
    #[error("machine name \"{name}\" cannot be a directory on Windows")]
    UnfitForWindows {
        /// The name that was asked for.
        name: MachineName,
    },
    /// The machine's file cannot be understood.
    #[error("Machine `{name}` cannot be read: `{}` is damaged", path.display())]
    Corrupt {
        /// The machine.
        name: MachineName,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        reason: Box<CorruptReason>,
    },
    /// The machine's file was written by a newer program.
    #[error(
        "Machine `{name}` was made by a newer version of this program: `{}` has format {found}, \
         this version reads {supported}", path.display()
    )]
    Newer {
        /// The machine.
        name: MachineName,
        /// The file.
        path: PathBuf,
        /// Its format.
        found: String,
        /// The newest format this program reads.
        supported: String,
    },
    /// Neither directory is short enough for sockets.
    #[error(
        "Sockets in `{}` would have paths of {length} bytes; the limit is {limit}",
        directory.display(), limit = LONGEST_SOCKET_PATH
    )]
    SocketPathTooLong {
        /// The shorter of the two directories.
        directory: PathBuf,
        /// The length of the longest path.
        length: usize,
    },
    /// A path that goes into a text file.
    #[error("Path `{}` is not valid Unicode", .0.display())]
    NotUnicode(PathBuf),
    /// Another command holds the machine.
    #[error("Machine `{name}` is being changed by another command")]
    Locked {
        /// The machine.
        name: MachineName,
        /// What the lock says.
        source: LockError,
    },
    /// A supervisor holds the machine.
    #[error("running vm \"{name}\" cannot be destroyed")]
    InUse {
        /// The machine.
        name: MachineName,
    },
    /// The list of machines, or one of them, could not be locked.
    #[error("The machines' files could not be locked")]
    Lock {
        /// What the lock says.
        source: LockError,
    },
    /// A file could not be read.
    #[error("The machines' files could not be read")]
    Read {
        /// What the system said; it names the file.
        source: io::Error,
    },
    /// A file could not be written.
    #[error("The files of machine `{name}` could not be written")]
    Write {
        /// The machine.
        name: MachineName,
        /// What the system said; it names the file.
        source: io::Error,
    },
    /// Two machines would write into one file system.
    #[error("The data disk `{}` is that of machine `{machine}`", path.display())]
    DataDiskTaken {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        machine: MachineName,
    },
    /// The machine is gone, its data disk could not be moved to where it is kept.
    #[error("The machine is removed, and its data disk still lies at `{}`", path.display())]
    DataDiskNotMoved {
        /// The disk.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The machine is gone, some of its files are not.
    #[error("failed to remove machines files: `{}`", path.display())]
    Remains {
        /// What is left; the next command that changes something tries again.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What is wrong with a machine's file.
#[derive(Debug, Error)]
pub enum CorruptReason {
    /// The directory has no such file.
    #[error("The file is missing")]
    Missing,
    /// No text.
    #[error("The file is not UTF-8 text")]
    NotText,
    /// No TOML, or a value that is missing or of another kind.
    #[error("The file does not parse")]
    Parse(#[from] toml::de::Error),
    /// No TOML to the editor that keeps comments.
    #[error("The file cannot be edited")]
    Edit(#[from] toml_edit::TomlError),
    /// The format is not `MAJOR.MINOR`.
    #[error("The file's format `{0}` is not two numbers with a dot between")]
    Format(String),
    /// A directory that was copied or renamed by hand.
    #[error("The file names the machine `{0}`, its directory is another's")]
    OtherName(String),
    /// It parses and makes no sense.
    #[error("The file asks for something impossible")]
    Config(#[from] ConfigError),
}

impl StoreError {
    pub(super) fn not_found(name: &str) -> Self {
        Self::NotFound {
            name: name.to_owned(),
        }
    }

    pub(super) fn corrupt(name: &MachineName, path: &Path, reason: CorruptReason) -> Self {
        Self::Corrupt {
            name: name.clone(),
            path: path.to_owned(),
            reason: Box::new(reason),
        }
    }

    /// What the user can do about it.
    pub fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::NotFound { .. } => "list the machines with `machine list`".to_owned(),
            Self::Exists { name } => {
                format!("choose another name, or remove it with `machine rm {name}`")
            }
            Self::BeingMade { .. } => "another command is making it at this moment".to_owned(),
            Self::DiffersInCase { .. } | Self::UnfitForWindows { .. } => {
                "choose another name".to_owned()
            }
            Self::Corrupt { name, path, .. } => format!(
                "repair `{}`, or remove the machine with `machine rm --force {name}`",
                path.display()
            ),
            Self::Newer { .. } => "use the newer version".to_owned(),
            Self::SocketPathTooLong { .. } => {
                "set `MACHINE_HOME` to a directory with a shorter path".to_owned()
            }
            Self::Locked { .. } => "wait for it, and try again".to_owned(),
            Self::InUse { name } => format!(
                "stop it with `machine stop {name}`, or stop and remove it with \
                 `machine rm --force {name}`"
            ),
            Self::Remains { path, .. } => {
                format!("the machine is removed; delete `{}`", path.display())
            }
            Self::DataDiskTaken { machine, .. } => {
                format!(
                    "remove that machine without its data disk: machine rm --keep-data {machine}"
                )
            }
            Self::DataDiskNotMoved { .. } => {
                "the next command that changes something tries again, and nothing deletes it before"
                    .to_owned()
            }
            Self::Lock {
                source: LockError::Open { source, .. } | LockError::Take { source, .. },
            }
            | Self::Write { source, .. } => return not_writable(source),
            Self::Read { source } if source.kind() == io::ErrorKind::PermissionDenied => {
                "you need the right to read it".to_owned()
            }
            Self::NotUnicode(_) | Self::Lock { .. } | Self::Read { .. } => return Vec::new(),
        };
        vec![hint]
    }
}

/// What helps where the system does not let a file of the machines be written; the error names the file.
pub(crate) fn not_writable(source: &io::Error) -> Vec<String> {
    let elsewhere = "or let `MACHINE_HOME` or `XDG_DATA_HOME` name another directory";
    match source.kind() {
        io::ErrorKind::PermissionDenied => {
            vec![format!("you need the right to write there, {elsewhere}")]
        }
        io::ErrorKind::ReadOnlyFilesystem => vec![format!(
            "the file system is read-only: make it writable, {elsewhere}"
        )],
        _ => Vec::new(),
    }
}
