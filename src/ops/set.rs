//! `set`: changing what a machine is asked to be.
//!
//! ```text
//! checks ─> edit lock ─> stopped? ─> run lock ─> disk ─> machine.toml ─> default connection
//!                     └─ running, and only mode, folders, sockets ─> machine.toml ─> default connection ─> reload
//! ```
//!
//! The folders of a machine are what its next start finds in `machine.toml`, so a running one takes them as well. Its
//! sockets, and whether servers of the guest are ports of the host, it has at once.
//!
//! Everything that can be refused is refused before the first change. The disk comes before the file that names its
//! size: a command that is killed in between leaves a disk that is larger than it need be, which the guest uses like
//! any other, and which the same command given again finishes.

#[cfg(test)]
#[path = "set/tests.rs"]
mod tests;

use std::fmt;
use std::io;
use std::path::Path;

use fs_err as fs;
use machine_images::ImageError;
use machine_protocol::sockets::MissingSocket;
use thiserror::Error;

use super::adopt;
use super::data_disk::{self, DataDiskError, Shortage};
use super::init::{Host, allocated_bytes};
use super::os_disk;
use crate::connection::{self, ConnectionError, ConnectionsFile};
use crate::engine::{self, EngineError};
use crate::machine::config::{ConfigError, LOCAL_TIME_ZONE};
use crate::machine::resources::{ResourceError, Wish};
use crate::machine::settings::{LARGEST_SWAP_MIB, Origin, SettingError};
use crate::machine::time_zone::{self, TimeZoneError};
use crate::machine::{
    DiskFormat, ForwardSocket, MachineConfig, MachineName, Network, ProviderKind, Resources,
    Status, Volume, Vsock,
};
use crate::store::{EditGuard, MachineFiles, Store, StoreError, StoredMachine};
use crate::supervisor::client::{self, ClientError};

const GIB: u64 = 1 << 30;
/// What a growing disk writes at most: its tables, not what the guest will put on it.
const GROWTH_BYTES: u64 = 16 << 20;

/// What is to be changed; what is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetRequest {
    /// Virtual CPUs, memory and disk.
    pub wish: Wish,
    /// Whether the API socket is to be the engine of root.
    pub rootful: Option<bool>,
    /// The guest's time zone, or `local`.
    pub time_zone: Option<String>,
    /// Swap in MiB.
    pub swap_mib: Option<u64>,
    /// Whether the guest is to trust what the host trusts.
    pub import_native_ca: Option<bool>,
    /// The vsock that it is to have.
    pub vsock: Option<Vsock>,
    /// What carries its packets.
    pub network: Option<Network>,
    /// Whether its guest is to reach the host's loopback.
    pub host_loopback: Option<bool>,
    /// Whether servers of the guest are to be ports of the host.
    pub forward_listeners: Option<bool>,
    /// USB devices that are to be passed through, instead of those that are.
    pub usbs: Option<Vec<String>>,
    /// Folders of the host in the guest, instead of those that are.
    pub volumes: Option<Vec<Volume>>,
    /// Sockets of the host in the guest, instead of those that are.
    pub forward_sockets: Option<Vec<ForwardSocket>>,
}

/// What a machine was changed to, and what the user should know about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetOutcome {
    /// The machine as it is now asked to be.
    pub config: MachineConfig,
    /// The disk may become larger than the host has room for.
    pub shortage: Option<Shortage>,
    /// Containers of the mode that a running machine has left.
    pub left: Option<LeftBehind>,
    /// The machine runs and goes on with the folders that it has.
    pub volumes_wait: bool,
    /// Sockets that the machine, which runs, could not make.
    pub missing_sockets: Vec<MissingSocket>,
}

/// Containers that the new mode does not show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftBehind {
    /// How many, running or not.
    pub containers: usize,
    /// The mode they are in.
    pub rootful: bool,
}

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

impl SetRequest {
    /// Whether nothing is to be changed but what a running machine can take: the mode, the forwarding of servers, and the
    /// folders.
    fn is_for_running(&self) -> bool {
        self.is_partly_for_running()
            && *self
                == Self {
                    rootful: self.rootful,
                    forward_listeners: self.forward_listeners,
                    volumes: self.volumes.clone(),
                    forward_sockets: self.forward_sockets.clone(),
                    ..Self::default()
                }
    }

    /// Whether something of that is to be changed.
    fn is_partly_for_running(&self) -> bool {
        self.rootful.is_some()
            || self.forward_listeners.is_some()
            || self.volumes.is_some()
            || self.forward_sockets.is_some()
    }

    /// The configuration with the change, the disk aside. Whatever the host and the types refuse is an error here.
    fn apply(&self, old: &MachineConfig, host: &Host) -> Result<MachineConfig, SetError> {
        let mut new = old.clone();
        let wish = Wish {
            cpus: Some(self.wish.cpus.unwrap_or(old.resources.cpus)),
            memory_mib: Some(self.wish.memory_mib.unwrap_or(old.resources.memory_mib)),
            disk_gib: Some(self.wish.disk_gib.unwrap_or(old.resources.disk_gib)),
        };
        self.check_sized(old)?;
        if self.wish != Wish::default() {
            new.resources = self.settle(&wish, host)?;
        }
        if let Some(usbs) = &self.usbs
            && !usbs.is_empty()
        {
            return Err(SetError::Usb {
                provider: old.provider,
            });
        }
        if let Some(time_zone) = &self.time_zone {
            check_zone(time_zone).map_err(|error| SettingError::TimeZone {
                error,
                origin: Origin::Flag,
            })?;
            new.time_zone.clone_from(time_zone);
        }
        if let Some(wanted) = self.swap_mib
            && wanted > LARGEST_SWAP_MIB
        {
            let origin = Origin::Flag;
            return Err(SettingError::Swap { wanted, origin }.into());
        }
        new.rootful = self.rootful.unwrap_or(old.rootful);
        new.swap_mib = self.swap_mib.unwrap_or(old.swap_mib);
        new.vsock = self.vsock.unwrap_or(old.vsock);
        new.network = self.network.unwrap_or(old.network);
        new.host_loopback = self.host_loopback.unwrap_or(old.host_loopback);
        new.forward_listeners = self.forward_listeners.unwrap_or(old.forward_listeners);
        new.import_native_ca = self.import_native_ca.unwrap_or(old.import_native_ca);
        if let Some(volumes) = &self.volumes {
            new.volumes.clone_from(volumes);
        }
        if let Some(sockets) = &self.forward_sockets {
            new.forward_sockets.clone_from(sockets);
        }
        new.check()?;
        Ok(new)
    }

    /// Refuses what the machines of the provider have not to themselves.
    fn check_sized(&self, old: &MachineConfig) -> Result<(), SetError> {
        let provider = old.provider;
        let refused = |what, instead| SetError::NotSized {
            what,
            provider,
            instead,
        };
        if let Some(instead) = os_disk::shared_resources(provider) {
            if self.wish.cpus.is_some() {
                return Err(refused(Resource::Cpus, instead));
            }
            if self.wish.memory_mib.is_some() {
                return Err(refused(Resource::Memory, instead));
            }
        }
        let has_disk = old.data_disk.is_some() || !os_disk::is_kept_by(provider);
        if self.wish.disk_gib.is_some() && !has_disk {
            let instead = "it grows by itself as the guest writes";
            return Err(refused(Resource::Disk, instead));
        }
        Ok(())
    }

    /// The new resources. What is not asked for is not held to the host's bounds: a machine that was made on a larger
    /// host must be changeable one number at a time.
    fn settle(&self, wish: &Wish, host: &Host) -> Result<Resources, ResourceError> {
        let mut bounds = host.resources;
        if self.wish.cpus.is_none() {
            bounds.cpus = u32::MAX;
        }
        if self.wish.memory_mib.is_none() {
            bounds.memory_mib = u64::MAX;
        }
        Resources::settle(wish, &bounds)
    }
}

/// Checks the name of a time zone; a host with a list of them knows more than how one looks.
fn check_zone(name: &str) -> Result<(), TimeZoneError> {
    time_zone::check(name)?;
    let known = jiff::tz::db();
    let has_no_say = name.is_empty()
        || name == LOCAL_TIME_ZONE
        || known.is_definitively_empty()
        || known.available().next().is_none();
    if has_no_say || known.get(name).is_ok() {
        return Ok(());
    }
    Err(TimeZoneError(name.to_owned()))
}

/// Changes a machine, or leaves it as it is.
pub async fn set(
    store: &Store,
    connections: &ConnectionsFile,
    host: &Host,
    name: &MachineName,
    request: &SetRequest,
) -> Result<SetOutcome, SetError> {
    let machine = store.load(name)?;
    request.apply(&machine.config, host)?;
    let status = if request.is_for_running() {
        adopt::status(store, name, &machine.files).await
    } else {
        client::status(&machine.files).await
    };
    let not_stopped = |status| SetError::NotStopped {
        name: name.clone(),
        status,
        more_than_mode: request.is_partly_for_running() && !request.is_for_running(),
    };
    match status {
        Status::Stopped => {}
        Status::Running | Status::Degraded { .. } if request.is_for_running() => {
            return switch_running(store, connections, &machine, request, host).await;
        }
        status => return Err(not_stopped(status)),
    }

    let guard = edit(store, name).await?;
    // From here on nobody can start it.
    let stopped = guard.keep_stopped()?;
    let status = client::status(guard.files()).await;
    if stopped.is_none() || !status.is_stopped() {
        return Err(not_stopped(status));
    }
    // Another command may have changed it since.
    let old = store.load(name)?.config;
    let mut new = request.apply(&old, host)?;
    let mut shortage = None;
    if let Some(wanted) = request.wish.disk_gib {
        if wanted <= old.resources.disk_gib {
            return Err(SetError::DiskNotLarger {
                current: old.resources.disk_gib,
            });
        }
        let data_disk = guard.files().data_disk_of(&old);
        let disk = data_disk.unwrap_or_else(|| guard.files().os_disk(old.disk));
        data_disk::check_fits(host, &disk, wanted)?;
        shortage = check_space(host, &disk, wanted)?;
        new.resources.disk_gib = match old.data_disk {
            Some(_) => data_disk::grow(&disk, wanted)?,
            None => grow(&disk, old.disk, wanted).await?,
        };
    }
    let config = write(&guard, connections, &old, new).await?;
    Ok(SetOutcome {
        config,
        shortage,
        left: None,
        volumes_wait: false,
        missing_sockets: Vec::new(),
    })
}

/// Changes the mode and the sockets of a machine that runs, whether servers of its guest are forwarded, and the folders of
/// its next start.
async fn switch_running(
    store: &Store,
    connections: &ConnectionsFile,
    machine: &StoredMachine,
    request: &SetRequest,
    host: &Host,
) -> Result<SetOutcome, SetError> {
    let (name, files) = (&machine.config.name, &machine.files);
    let (old, config) = {
        let guard = edit(store, name).await?;
        let old = store.load(name)?.config;
        let new = request.apply(&old, host)?;
        let config = write(&guard, connections, &old, new).await?;
        (old, config)
    };
    let mode_changes = config.rootful != old.rootful;
    let mut missing_sockets = Vec::new();
    let at_once = mode_changes
        || config.forward_sockets != old.forward_sockets
        || config.forward_listeners != old.forward_listeners;
    if at_once {
        match reload(files).await {
            Ok(missing) => missing_sockets = missing,
            Err(source) => {
                take_back(store, connections, &old, &config).await;
                let name = name.clone();
                return Err(SetError::Reload { name, source });
            }
        }
    }
    let left = if mode_changes {
        left_behind(files, old.rootful).await
    } else {
        None
    };
    Ok(SetOutcome {
        shortage: None,
        missing_sockets,
        left,
        volumes_wait: config.volumes != old.volumes,
        config,
    })
}

/// Lets the supervisor read the file again; the sockets that the guest could not make. One that has gone meanwhile will
/// read it when it comes back.
async fn reload(files: &MachineFiles) -> Result<Vec<MissingSocket>, ClientError> {
    match client::connect(&files.control_socket()).await? {
        Some(mut connection) => Ok(connection.reload().await?.sockets),
        None => Ok(Vec::new()),
    }
}

/// Gives a machine that did not take a change from `old` to `new` its old settings back, save those that somebody else has
/// changed meanwhile.
async fn take_back(
    store: &Store,
    connections: &ConnectionsFile,
    old: &MachineConfig,
    new: &MachineConfig,
) {
    let taken_back = async {
        let guard = edit(store, &old.name).await?;
        let now = store.load(&old.name)?.config;
        let mut then = now.clone();
        if now.rootful == new.rootful {
            then.rootful = old.rootful;
        }
        if now.forward_listeners == new.forward_listeners {
            then.forward_listeners = old.forward_listeners;
        }
        if now.volumes == new.volumes {
            then.volumes.clone_from(&old.volumes);
        }
        if now.forward_sockets == new.forward_sockets {
            then.forward_sockets.clone_from(&old.forward_sockets);
        }
        write(&guard, connections, &now, then).await
    };
    if let Err(error) = taken_back.await {
        tracing::warn!(%error, "The machine's file keeps the change");
    }
}

/// What the engine of the mode that was left holds. An engine that does not say is no reason to fail.
async fn left_behind(files: &MachineFiles, rootful: bool) -> Option<LeftBehind> {
    let socket = if rootful {
        files.rootful_socket()
    } else {
        files.rootless_socket()
    };
    let counted: Result<usize, EngineError> = engine::count_containers(&socket).await;
    match counted {
        Ok(0) => None,
        Ok(containers) => Some(LeftBehind {
            containers,
            rootful,
        }),
        Err(error) => {
            tracing::info!(%error, "The engine of the mode that was left cannot be asked");
            None
        }
    }
}

/// Writes the file, and lets the default connection follow the mode; both or neither.
async fn write(
    guard: &EditGuard,
    connections: &ConnectionsFile,
    old: &MachineConfig,
    new: MachineConfig,
) -> Result<MachineConfig, SetError> {
    let put = |wanted: &MachineConfig| {
        guard.update::<SetError>(|config| {
            config.clone_from(wanted);
            Ok(())
        })
    };
    let config = put(&new)?;
    if config.rootful != old.rootful
        && let Err(source) = follow(connections, &config).await?
    {
        put(old)?;
        let name = old.name.clone();
        return Err(SetError::Connection { name, source });
    }
    Ok(config)
}

/// Lets the default connection follow the mode, where it leads to this machine (spec 3.9).
async fn follow(
    connections: &ConnectionsFile,
    config: &MachineConfig,
) -> Result<Result<(), ConnectionError>, SetError> {
    let (file, name, rootful) = (connections.clone(), config.name.clone(), config.rootful);
    // It waits for podman's lock.
    let work = tokio::task::spawn_blocking(move || {
        connection::machine::follow_mode(&file, &name, rootful)
    });
    work.await.map_err(|source| SetError::Lost {
        name: config.name.clone(),
        source,
    })
}

/// The edit lock, waited for where it may be.
async fn edit(store: &Store, name: &MachineName) -> Result<EditGuard, SetError> {
    let (store, owned) = (store.clone(), name.clone());
    let guard = tokio::task::spawn_blocking(move || store.edit(&owned));
    let guard = guard.await.map_err(|source| SetError::Lost {
        name: name.clone(),
        source,
    })?;
    Ok(guard?)
}

/// Refuses a growth that cannot even be written, and tells of one that the host could not fill.
///
/// A file system without an answer is not asked again.
fn check_space(host: &Host, path: &Path, disk_gib: u64) -> Result<Option<Shortage>, ImageError> {
    let Ok(free_bytes) = (host.free_bytes)(path.parent().unwrap_or(path)) else {
        return Ok(None);
    };
    if free_bytes < GROWTH_BYTES {
        return Err(ImageError::Full {
            path: path.to_owned(),
            needed: GROWTH_BYTES,
            free: Some(free_bytes),
            source: io::ErrorKind::StorageFull.into(),
        });
    }
    let there = fs::metadata(path).map_or(0, |metadata| allocated_bytes(&metadata));
    Ok(data_disk::shortage(disk_gib, there, free_bytes))
}

/// Grows the disk with the operating system, on which the engines of a machine without a data disk keep what they have, and returns its size in GiB: more than asked for, where an earlier growth was not finished.
async fn grow(disk: &Path, format: DiskFormat, disk_gib: u64) -> Result<u64, ImageError> {
    let bytes = disk_gib.saturating_mul(GIB);
    let stored = match format {
        DiskFormat::Qcow2 => machine_images::DiskFormat::Qcow2,
        DiskFormat::Raw | DiskFormat::Tar => machine_images::DiskFormat::Raw,
    };
    let grown = machine_images::grow(disk, stored, bytes).await?;
    Ok(grown.virtual_bytes.div_ceil(GIB))
}
