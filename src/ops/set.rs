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

mod error;
mod request;
mod running;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;

use fs_err as fs;
use machine_images::ImageError;
use machine_protocol::sockets::MissingSocket;

pub use self::error::{Resource, SetError};
pub use self::request::SetRequest;
use super::adopt;
use super::data_disk::{self, Shortage};
use super::host::{Host, allocated_bytes};
use crate::connection::{self, ConnectionError, ConnectionsFile};
use crate::machine::{DiskFormat, MachineConfig, MachineName, Status};
use crate::store::{EditGuard, Store};
use crate::supervisor::client;

const GIB: u64 = 1 << 30;
/// What a growing disk writes at most: its tables, not what the guest will put on it.
const GROWTH_BYTES: u64 = 16 << 20;

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
            return running::switch(store, connections, &machine, request, host).await;
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
