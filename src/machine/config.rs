//! What was asked for when the machine was made.

use std::fmt;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::machine::name::{NameError, check_user};
use crate::machine::ports::{self, Forward, ForwardsError};
use crate::machine::resources::ResourceError;
use crate::machine::sockets::{self, ForwardSocket, SocketError};
use crate::machine::volume::{self, VolumeError};
use crate::machine::{DataDisk, MachineName, Network, ProviderKind, Resources, Volume, Vsock};

/// What was asked for when the machine was made. It is the content of `machine.toml`; nothing that happens to the
/// machine later is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineConfig {
    /// The name; the directory has the same.
    pub name: MachineName,
    /// When the machine was made.
    pub created: Timestamp,
    /// What runs it.
    pub provider: ProviderKind,
    /// The user in the guest.
    pub user: String,
    /// That user's number in the guest: the host user's, so that files on shared folders belong to the same person.
    pub uid: u32,
    /// Whether the API socket is the engine of root.
    pub rootful: bool,
    /// The image the disk was made from, as it was given.
    pub image: String,
    /// The checksum by which the cache of images has that image, if it came from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_checksum: Option<String>,
    /// The disk's format; it decides the disk's file name.
    pub disk: DiskFormat,
    /// The format of the image that the disk lies over, where it does; it decides that file's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<DiskFormat>,
    /// How often the disk with the operating system was made anew; from 1 on it is a part of the names of that disk and of
    /// the image below it, so that writing this file is what changes one disk for the other.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub generation: u32,
    /// The disk for what the engines keep; without one it is on the disk with the operating system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_disk: Option<DataDisk>,
    /// The directory of the machine's sockets, chosen once, so that the API socket has one path for ever.
    pub sockets: PathBuf,
    /// The port of the host's loopback that leads to the guest's SSH server; 0 until one is chosen, and chosen anew by
    /// a start that finds it taken.
    #[serde(default)]
    pub ssh_port: u16,
    /// The guest's time zone: a name such as `Europe/Berlin`, or `local` for the host's at each start.
    #[serde(default = "local_time_zone")]
    pub time_zone: String,
    /// Compressed swap space in MiB; 0 is none.
    #[serde(default)]
    pub swap_mib: u64,
    /// Whether the guest trusts the certificate authorities that the host trusts.
    #[serde(default)]
    pub import_native_ca: bool,
    /// The vsock that it is to have.
    #[serde(default)]
    pub vsock: Vsock,
    /// What carries its packets.
    #[serde(default)]
    pub network: Network,
    /// Whether its guest reaches what listens on the host's loopback.
    #[serde(default = "yes")]
    pub host_loopback: bool,
    /// Whether servers of the guest are ports of the host.
    #[serde(default)]
    pub forward_listeners: bool,
    /// Ports of the host that lead to the guest, beside those of containers.
    #[serde(default)]
    pub ports: Vec<Forward>,
    /// What it gets of the host.
    pub resources: Resources,
    /// Folders of the host in the guest.
    #[serde(default)]
    pub volumes: Vec<Volume>,
    /// Sockets of the host in the guest.
    #[serde(default)]
    pub forward_sockets: Vec<ForwardSocket>,
}

/// The word for the host's time zone.
pub const LOCAL_TIME_ZONE: &str = "local";

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference to what it may leave out"
)]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

fn yes() -> bool {
    true
}

fn local_time_zone() -> String {
    LOCAL_TIME_ZONE.to_owned()
}

/// The format of a machine's disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DiskFormat {
    /// QEMU's copy-on-write format.
    Qcow2,
    /// The bytes of the disk as they are.
    Raw,
    /// The tree of a system in a tar archive, of which a hypervisor makes a disk that it keeps itself.
    Tar,
}

impl fmt::Display for DiskFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Qcow2 => "qcow2",
            Self::Raw => "raw",
            Self::Tar => "tar",
        })
    }
}

/// A configuration that parses and still makes no sense; a person may have edited it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// Out of bounds.
    #[error(transparent)]
    Resources(#[from] ResourceError),
    /// A user who cannot be made.
    #[error(transparent)]
    User(#[from] NameError),
    /// Ports that do not go together.
    #[error(transparent)]
    Ports(#[from] ForwardsError),
    /// A directory that depends on where the program is started.
    #[error("The directory of the sockets, `{}`, is not an absolute path", .0.display())]
    SocketsNotAbsolute(PathBuf),
    /// A disk that depends on where the program is started.
    #[error("The data disk `{}` is not an absolute path", .0.display())]
    DataDiskNotAbsolute(PathBuf),
    /// Folders that cannot be in the guest.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// A folder that depends on where the program is started.
    #[error("The folder of the host `{}` is not an absolute path", .0.display())]
    SourceNotAbsolute(PathBuf),
    /// Sockets that cannot be in the guest.
    #[error(transparent)]
    Socket(#[from] SocketError),
}

impl MachineConfig {
    /// Checks what the types do not hold.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.resources.check_bounds()?;
        check_user(&self.user)?;
        ports::check(&self.ports)?;
        if !self.sockets.has_root() {
            return Err(ConfigError::SocketsNotAbsolute(self.sockets.clone()));
        }
        if let Some(DataDisk::At(path)) = &self.data_disk
            && !path.has_root()
        {
            return Err(ConfigError::DataDiskNotAbsolute(path.clone()));
        }
        volume::check(&self.volumes, &self.user)?;
        let relative = self.volumes.iter().find(|volume| !volume.source.has_root());
        if let Some(volume) = relative {
            return Err(ConfigError::SourceNotAbsolute(volume.source.clone()));
        }
        sockets::check(&self.forward_sockets, &self.volumes, &self.user)?;
        Ok(())
    }
}
