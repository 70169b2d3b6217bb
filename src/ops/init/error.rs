//! Why no machine was made.

use std::io;

use machine_images::ImageError;
use machine_protocol::secret::SecretError;
use machine_provisioning::ProvisioningError;
use machine_provisioning::keys::KeyError;
use thiserror::Error;

use crate::connection::ConnectionError;
use crate::machine::MachineName;
use crate::machine::name::NameError;
use crate::machine::resources::ResourceError;
use crate::machine::sockets::SocketError;
use crate::machine::volume::VolumeError;
use crate::ops::data_disk::DataDiskError;
use crate::ops::image::ObtainError;
use crate::ops::os_disk::{FormatError, TreeError};
use crate::provider::ProviderError;
use crate::store::StoreError;

/// Why no machine was made. Nothing of it is left.
#[derive(Debug, Error)]
pub enum InitError {
    /// The user in the guest cannot have this name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The host cannot give what is asked for.
    #[error(transparent)]
    Resources(#[from] ResourceError),
    /// There can be no such data disk.
    #[error(transparent)]
    DataDisk(#[from] DataDiskError),
    /// The guest cannot have these folders.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// The guest cannot have these sockets.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The image cannot be had.
    #[error(transparent)]
    Obtain(#[from] ObtainError),
    /// The image cannot become a disk.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The provider has no such disks.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The tree of the image cannot become the machine's.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The name is taken, or a file cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The name of a connection is taken, or podman's connections cannot be changed.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// The host has no port left.
    #[error("No port of the host could be had for the machine's SSH server")]
    Port {
        /// What the system said.
        source: io::Error,
    },
    /// No key could be made.
    #[error("The SSH keys could not be made")]
    Key(#[from] KeyError),
    /// No secret could be made.
    #[error("The machine's secret could not be made")]
    Secret(#[from] SecretError),
    /// The guest cannot be told what is asked for.
    #[error("The guest's first-boot configuration could not be made")]
    Provisioning(#[from] ProvisioningError),
    /// Its provider cannot run it on this host.
    #[error(transparent)]
    Provider(#[from] Box<ProviderError>),
    /// Its provider could not make what it keeps of it, and could not take back what was begun: so the machine stays, which
    /// says what that is.
    #[error(
        "Machine `{name}` could not be made whole, and what was begun could not be taken back: {reason}"
    )]
    Half {
        /// The machine.
        name: MachineName,
        /// Why it could not be taken back.
        reason: String,
        /// Why it could not be made.
        source: Box<ProviderError>,
    },
    /// The reporter said so.
    #[error("Making machine `{0}` was cancelled")]
    Cancelled(MachineName),
    /// A thread of this program ended without an answer, which is an error of this program.
    #[error("Making machine `{name}` ended unexpectedly")]
    Lost {
        /// The machine.
        name: MachineName,
        /// How the thread ended.
        source: tokio::task::JoinError,
    },
}

impl InitError {
    /// What the user can do about it.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Resources(error) => error.hints(),
            Self::DataDisk(error) => error.hints(),
            Self::Volume(error) => error.hints(),
            Self::Socket(error) => error.hints(),
            Self::Obtain(error) => error.hints(),
            Self::Image(error) => error.hints(),
            Self::Format(error) => error.hints(),
            Self::Store(error) => error.hints(),
            Self::Connection(error) => error.hints(),
            Self::Provider(error) => error.hints(),
            Self::Half { name, source, .. } => {
                let remove =
                    format!("`machine rm {name}` removes it, `machine start {name}` tries again");
                source.hints().into_iter().chain([remove]).collect()
            }
            Self::Cancelled(_) => vec!["nothing of it is left".to_owned()],
            _ => Vec::new(),
        }
    }
}
