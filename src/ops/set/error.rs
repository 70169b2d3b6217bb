//! Why a machine was not changed.

use std::fmt;

use machine_images::ImageError;
use thiserror::Error;

use crate::connection::ConnectionError;
use crate::machine::config::ConfigError;
use crate::machine::resources::ResourceError;
use crate::machine::settings::SettingError;
use crate::machine::{MachineName, ProviderKind, Status};
use crate::ops::data_disk::DataDiskError;
use crate::store::StoreError;
use crate::supervisor::client::ClientError;

/// What the machines of some providers do not have to themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Virtual CPUs.
    Cpus,
    /// Memory.
    Memory,
    /// A disk that is ours to grow.
    Disk,
}

impl fmt::Display for Resource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Cpus => "CPUs",
            Self::Memory => "memory",
            Self::Disk => "disk size",
        })
    }
}

/// Why a machine was not changed. It is as it was before, but for a disk that may have grown already.
#[derive(Debug, Error)]
pub enum SetError {
    /// There is no such machine, it cannot be read, or a file cannot be changed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The host cannot give what is asked for.
    #[error(transparent)]
    Resources(#[from] ResourceError),
    /// The time zone or the swap makes no sense.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The whole makes no sense.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The default connection cannot follow the mode.
    #[error("Machine `{name}` keeps its mode, for its default connection cannot follow")]
    Connection {
        /// The machine.
        name: MachineName,
        /// Why.
        #[source]
        source: ConnectionError,
    },
    /// It would have to be stopped (spec 1.4.8).
    #[error("unable to change settings unless vm is stopped")]
    NotStopped {
        /// The machine.
        name: MachineName,
        /// What it is doing.
        status: Status,
        /// Whether anything but the mode was to be changed.
        more_than_mode: bool,
    },
    /// Disks only grow (spec 1.4.8).
    #[error("new disk size must be larger than {current} GB")]
    DiskNotLarger {
        /// Its size in GiB.
        current: u64,
    },
    /// The provider has nothing of the kind that could be changed (spec 1.4.8).
    #[error("changing {what} not supported for {} machines", provider.word_in_texts())]
    NotSized {
        /// What was to be changed.
        what: Resource,
        /// The provider.
        provider: ProviderKind,
        /// What the user can do.
        instead: &'static str,
    },
    /// The disk cannot be grown.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The data disk cannot be grown.
    #[error(transparent)]
    DataDisk(#[from] DataDiskError),
    /// No provider passes USB devices through yet (spec 1.4.8 has the text for those that never do).
    #[error("changing USBs not supported for {} machines", provider.word_in_texts())]
    Usb {
        /// The provider.
        provider: ProviderKind,
    },
    /// The running machine did not take the change.
    #[error("Machine `{name}` did not take the change; nothing is changed")]
    Reload {
        /// The machine.
        name: MachineName,
        /// Why.
        #[source]
        source: ClientError,
    },
    /// A thread of this program ended without an answer, which is an error of this program.
    #[error("Changing machine `{name}` ended unexpectedly")]
    Lost {
        /// The machine.
        name: MachineName,
        /// How the thread ended.
        source: tokio::task::JoinError,
    },
}

impl SetError {
    /// What the user can do about it.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Store(error) => error.hints(),
            Self::Resources(error) => error.hints(),
            Self::Image(error) => error.hints(),
            Self::DataDisk(error) => error.hints(),
            Self::Setting(error) => error.hints(),
            Self::Connection { source, .. } => source.hints(),
            Self::NotStopped {
                name,
                more_than_mode,
                ..
            } => {
                let mut hints = vec![format!("stop it first: machine stop {name}")];
                if *more_than_mode {
                    hints.push(
                        "on a running machine `--rootful`, `--volume`, `--forward-socket` and `--forward-listeners` can be changed, \
                         by themselves"
                            .to_owned(),
                    );
                }
                hints
            }
            Self::NotSized { instead, .. } => vec![(*instead).to_owned()],
            Self::Usb { .. } => vec!["`--usb \"\"` is taken: there are none".to_owned()],
            Self::Reload { name, .. } => vec![format!(
                "a stopped machine takes it as well: machine stop {name}"
            )],
            Self::Config(ConfigError::Volume(error)) => error.hints(),
            Self::Config(ConfigError::Socket(error)) => error.hints(),
            Self::DiskNotLarger { .. } | Self::Config(_) | Self::Lost { .. } => Vec::new(),
        }
    }
}
