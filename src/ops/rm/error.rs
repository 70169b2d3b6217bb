//! Why a machine was not removed.

use std::error::Error;
use std::path::PathBuf;

use thiserror::Error;

use crate::machine::{MachineName, Status};
use crate::provider::ProviderError;
use crate::store::StoreError;

/// Why a machine was not removed.
#[derive(Debug, Error)]
pub enum RemoveError {
    /// There is no such machine, it cannot be read, or a file cannot be changed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It runs, or it cannot be known that it does not.
    #[error("running vm \"{name}\" cannot be destroyed")]
    Running {
        /// The machine.
        name: MachineName,
        /// What it is doing.
        status: Status,
    },
    /// There is nothing to keep.
    #[error("Machine `{name}` has no data disk of its own that could be kept")]
    NoDataDisk {
        /// The machine.
        name: MachineName,
    },
    /// A file of the user's would go with the directory.
    #[error("The data disk `{}` lies in the directory of machine `{name}`, which would be removed", path.display())]
    DataDiskInside {
        /// The machine.
        name: MachineName,
        /// The disk.
        path: PathBuf,
    },
    /// It had to be stopped first, and that failed.
    #[error("Machine `{name}` could not be stopped, so it was not removed")]
    Stop {
        /// The machine.
        name: MachineName,
        /// Why it could not be stopped.
        source: Box<dyn Error + Send + Sync>,
    },
    /// What the hypervisor keeps of it stays.
    #[error(
        "What the hypervisor keeps of machine `{name}` could not be removed, so the machine was not"
    )]
    Kept {
        /// The machine.
        name: MachineName,
        /// Why.
        source: Box<ProviderError>,
    },
    /// It was stopped and runs all the same.
    #[error("Machine `{name}` is {} after it was stopped, so it was not removed", status.word())]
    StillRunning {
        /// The machine.
        name: MachineName,
        /// What it is doing.
        status: Status,
    },
    /// A thread of this program ended without an answer, which is an error of this program.
    #[error("Removing machine `{name}` ended unexpectedly")]
    Lost {
        /// The machine.
        name: MachineName,
        /// How the thread ended.
        source: tokio::task::JoinError,
    },
}

impl RemoveError {
    /// Whether no machine has the name.
    pub fn names_nobody(&self) -> bool {
        matches!(self, Self::Store(StoreError::NotFound { .. }))
    }

    /// What the user can do about it.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Store(error) => error.hints(),
            Self::Running { name, .. } => StoreError::InUse { name: name.clone() }.hints(),
            Self::NoDataDisk { name } => vec![format!(
                "what its engines keep goes with the machine; remove it all with `machine rm {name}`"
            )],
            Self::DataDiskInside { .. } => vec![
                "move it out, and correct `data_disk` in the machine's `machine.toml`".to_owned(),
            ],
            Self::Kept { source, .. } => source.hints(),
            Self::Stop { .. } | Self::StillRunning { .. } | Self::Lost { .. } => Vec::new(),
        }
    }
}
