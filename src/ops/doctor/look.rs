//! What there is of one machine: its files, its sockets, its supervisor. Nothing is judged and nothing is changed.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err as fs;
use machine_host::lock::{FileLock, LockError};
use machine_host::{access, facts, local_socket, program};
use machine_images::ImageKind;
use tokio::task::JoinSet;

use super::bounded;
use super::finding::Told;
use super::host::NetworkFacts;
use crate::machine::{DataDisk, DiskFormat, MachineConfig, MachineName, Status, deadlines};
use crate::network::egress::Wish;
use crate::network::egress::choice::choose;
use crate::ops::host::allocated_bytes;
use crate::provider::registry;
use crate::store::{MachineFiles, Store, StoreError};
use crate::supervisor::client;

/// What came of a look.
#[derive(Debug)]
pub(super) enum Look {
    /// The machine was removed meanwhile.
    Gone,
    /// Its files do not answer.
    Silent(MachineName),
    /// What was seen.
    Seen(Box<MachineFacts>),
}

/// What was seen of a machine.
#[derive(Clone, Debug)]
pub(super) struct MachineFacts {
    pub(super) name: MachineName,
    pub(super) files: MachineFiles,
    /// What it is to be, or why that cannot be read.
    pub(super) config: Result<MachineConfig, Told>,
    /// The machine's directory.
    pub(super) directory: FileState,
    /// The small files that are looked at, see [`SmallFile`].
    pub(super) small: Vec<(SmallFile, FileState)>,
    /// The disk and what it lies over, where the configuration tells.
    pub(super) disks: Vec<(PathBuf, DiskState)>,
    /// The data disk, where the machine has one that is there.
    pub(super) data_disk: Option<DataDiskFacts>,
    /// Free bytes of the file system with the machine's directory.
    pub(super) free: Option<u64>,
    /// Why its next start gives its guest no way out, with what to do.
    pub(super) network: Option<Told>,
    pub(super) status: Status,
    /// Whether its lock is held though nobody answers.
    pub(super) is_locked: bool,
    /// What is in the place of sockets of a machine that does not run.
    pub(super) sockets: Vec<(PathBuf, SocketState)>,
}

/// What was seen of a data disk.
#[derive(Clone, Debug)]
pub(super) struct DataDiskFacts {
    /// What it takes of the host, in bytes.
    pub(super) allocated: u64,
    /// For one of the user's own: where it lies, and the free bytes there.
    pub(super) elsewhere: Option<(PathBuf, Option<u64>)>,
}

/// A file beside the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SmallFile {
    Config,
    Secret,
    ClientKey,
    HostKey,
    KnownHosts,
    Ignition,
    Seed,
}

impl SmallFile {
    pub(super) const ALL: [Self; 7] = [
        Self::Config,
        Self::Secret,
        Self::ClientKey,
        Self::HostKey,
        Self::KnownHosts,
        Self::Ignition,
        Self::Seed,
    ];

    pub(super) fn path(self, files: &MachineFiles) -> PathBuf {
        match self {
            Self::Config => files.config(),
            Self::Secret => files.secret(),
            Self::ClientKey => files.ssh_client_key(),
            Self::HostKey => files.ssh_host_key(),
            Self::KnownHosts => files.known_hosts(),
            Self::Ignition => files.ignition(),
            Self::Seed => files.seed(),
        }
    }
}

/// What is in the place of a file; a link is not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FileState {
    Missing,
    /// It may not even be looked at.
    Hidden(String),
    /// A link, a pipe, or whatever else is not what should be there.
    Other,
    There {
        /// The permissions; none where there are no modes.
        mode: Option<u32>,
        /// The number of the owner; none where owners are no numbers.
        owner: Option<u32>,
    },
}

/// What is in the place of a disk; a link is followed, for a user may keep a disk elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DiskState {
    Missing,
    /// It is no disk of the format that it should have; why.
    Unfit(String),
    /// It is there, and takes so many bytes of the host.
    Fit(u64),
}

/// What is in the place of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SocketState {
    /// A socket at which nobody listens.
    Stale,
    /// A socket at which somebody does, or may.
    Used,
    /// No socket.
    Other,
}

/// Looks at a machine.
pub(super) async fn machine(store: Store, name: MachineName, network: NetworkFacts) -> Look {
    let seen = {
        let name = name.clone();
        bounded(move || look_at_files(&store, name, &network)).await
    };
    let mut facts = match seen {
        None => return Look::Silent(name),
        Some(None) => return Look::Gone,
        Some(Some(facts)) => facts,
    };
    let files = facts.files.clone();
    facts.status = client::status(&files).await;
    if facts.status.is_stopped() {
        let held = {
            let files = files.clone();
            bounded(move || is_held(&files)).await
        };
        if held == Some(true) {
            // One that was on its way in answers by now.
            facts.status = client::status(&files).await;
            facts.is_locked = facts.status.is_stopped();
        } else {
            facts.sockets = sockets(&files).await;
        }
    }
    Look::Seen(facts)
}

/// Everything that is read. `None` for a machine that is gone.
fn look_at_files(
    store: &Store,
    name: MachineName,
    network: &NetworkFacts,
) -> Option<Box<MachineFacts>> {
    let likely = store.likely_files(&name);
    let config_state = small_file(&likely.config());
    let loaded = match &config_state {
        // A pipe would keep us waiting for ever.
        FileState::Other => Err(Told {
            what: format!("`{}` is no file", likely.config().display()),
            why: String::new(),
            hints: vec![format!(
                "put the file back, or remove the machine: machine rm --force {name}"
            )],
        }),
        _ => match store.load(&name) {
            Ok(machine) => Ok(machine),
            Err(StoreError::NotFound { .. }) => return None,
            Err(error) => Err(Told::of(&error, error.hints())),
        },
    };
    let (config, files) = match loaded {
        Ok(machine) => (Ok(machine.config), machine.files),
        Err(told) => (Err(told), likely),
    };
    let small = SmallFile::ALL.map(|small| (small, small_file(&small.path(&files))));
    let disks = match &config {
        Ok(config) => disks(config, &files),
        Err(_) => Vec::new(),
    };
    let data_disk = config.as_ref().ok();
    let data_disk = data_disk.and_then(|config| data_disk_facts(config, &files));
    Some(Box::new(MachineFacts {
        directory: directory(files.directory()),
        small: small.to_vec(),
        disks,
        data_disk,
        free: facts::free_bytes(files.directory()).ok(),
        network: config
            .as_ref()
            .ok()
            .and_then(|config| way_out(config, network)),
        config,
        files,
        name,
        status: Status::Stopped,
        is_locked: false,
        sockets: Vec::new(),
    }))
}

fn small_file(path: &Path) -> FileState {
    state(path, std::fs::Metadata::is_file)
}

fn directory(path: &Path) -> FileState {
    state(path, std::fs::Metadata::is_dir)
}

fn state(path: &Path, is_right: impl Fn(&std::fs::Metadata) -> bool) -> FileState {
    match fs::symlink_metadata(path) {
        Ok(metadata) if is_right(&metadata) => FileState::There {
            mode: access::mode(&metadata),
            owner: access::owner(&metadata),
        },
        Ok(_) => FileState::Other,
        Err(error) if error.kind() == io::ErrorKind::NotFound => FileState::Missing,
        Err(error) => FileState::Hidden(error.to_string()),
    }
}

fn data_disk_facts(config: &MachineConfig, files: &MachineFiles) -> Option<DataDiskFacts> {
    let (path, elsewhere) = match config.data_disk.as_ref()? {
        DataDisk::Own => (files.data_disk(), None),
        DataDisk::At(path) => {
            let free = path
                .parent()
                .and_then(|place| facts::free_bytes(place).ok());
            (path.clone(), Some((path.clone(), free)))
        }
    };
    let metadata = fs::metadata(path).ok()?;
    Some(DataDiskFacts {
        allocated: allocated_bytes(&metadata),
        elsewhere,
    })
}

/// The disk, and before it what it lies over: without that it is nothing.
fn disks(config: &MachineConfig, files: &MachineFiles) -> Vec<(PathBuf, DiskState)> {
    let disk = files.os_disk(config.disk);
    let Some(format) = config.base else {
        let state = image(&disk, config.disk);
        return vec![(disk, state)];
    };
    let base = files.base_disk(format);
    let base_state = image(&base, format);
    let name = base.file_name().unwrap_or_default().to_string_lossy();
    let state = file(&disk, || {
        machine_images::recognise_layer(&disk, &name)
            .map(drop)
            .map_err(|error| Told::of(&error, Vec::new()).line())
    });
    vec![(base, base_state), (disk, state)]
}

fn image(path: &Path, format: DiskFormat) -> DiskState {
    let expected = match format {
        DiskFormat::Qcow2 => machine_images::DiskFormat::Qcow2,
        DiskFormat::Raw => machine_images::DiskFormat::Raw,
        DiskFormat::Tar => {
            return file(path, || {
                let tree = machine_images::open_tree(path);
                tree.map(drop)
                    .map_err(|error| Told::of(&error, Vec::new()).line())
            });
        }
    };
    file(path, || match machine_images::recognise(path) {
        Ok(ImageKind::Disk { format, .. }) if format == expected => Ok(()),
        // A blank raw disk is one all the same.
        Ok(ImageKind::Empty) if format == DiskFormat::Raw => Ok(()),
        Ok(_) => Err(format!("it is no {format} image")),
        Err(error) => Err(Told::of(&error, Vec::new()).line()),
    })
}

fn file(path: &Path, check: impl FnOnce() -> Result<(), String>) -> DiskState {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => DiskState::Missing,
        Err(error) => DiskState::Unfit(error.to_string()),
        Ok(metadata) if !metadata.is_file() => DiskState::Unfit("it is no file".to_owned()),
        Ok(metadata) => match check() {
            Ok(()) => DiskState::Fit(allocated_bytes(&metadata)),
            Err(why) => DiskState::Unfit(why),
        },
    }
}

/// What the next start would say of the guest's network; nothing where it would have one.
fn way_out(config: &MachineConfig, network: &NetworkFacts) -> Option<Told> {
    let provider = registry::provider(config.provider).ok()?;
    let wish = Wish {
        network: config.network,
        host_loopback: config.host_loopback,
    };
    let directories = &network.directories;
    let find = |name: &str| program::find(name, directories);
    let offer = &provider.capabilities().network;
    let error = choose(wish, offer, &network.host, directories, &find).err()?;
    Some(Told::of(&error, error.hints(config.name.as_str())))
}

/// Whether somebody keeps the machine from being started. Whoever changes its files may do so for a moment, and keeps us
/// from asking.
fn is_held(files: &MachineFiles) -> bool {
    // Nobody holds what is not there, and a look makes no file.
    if !(files.run_lock().exists() && files.edit_lock().exists()) {
        return false;
    }
    let Ok(Some(_edit)) = FileLock::try_acquire(&files.edit_lock()) else {
        return false;
    };
    let limit = deadlines::DOCTOR_LOCK.limit;
    matches!(
        FileLock::acquire(&files.run_lock(), limit),
        Err(LockError::Held { .. })
    )
}

/// What is in the place of a machine's sockets, all looked at at the same time; nothing for those that are not there.
pub(super) async fn sockets(files: &MachineFiles) -> Vec<(PathBuf, SocketState)> {
    let mut looks = JoinSet::new();
    for path in files.all_sockets() {
        looks.spawn(async move {
            let state = socket(&path, deadlines::CONTROL_CONNECT.limit).await;
            state.map(|state| (path, state))
        });
    }
    let mut found = Vec::new();
    while let Some(look) = looks.join_next().await {
        found.extend(look.ok().flatten());
    }
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    found
}

/// A socket that does not answer in time has a listener, a busy one.
async fn socket(path: &Path, limit: Duration) -> Option<SocketState> {
    let metadata = fs::symlink_metadata(path).ok()?;
    if !access::is_socket(&metadata) {
        return Some(SocketState::Other);
    }
    let connected = tokio::time::timeout(limit, local_socket::connect(path)).await;
    match connected {
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Some(SocketState::Stale)
        }
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => None,
        _ => Some(SocketState::Used),
    }
}
