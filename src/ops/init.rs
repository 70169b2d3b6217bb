//! `init`: making a machine.
//!
//! Everything that can be found out beforehand is checked before anything is made, in podman's order: user, name,
//! memory, CPUs, disk, volumes, provider, image. After that the machine is made as a [`Draft`], so that a failure, a
//! cancellation and a dropped future leave nothing.

mod error;
mod keeping;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;

use jiff::Timestamp;
use machine_images::{Cache, FetchProgress, FetchReporter, ImageError};
use machine_protocol::secret::Secret;
use machine_provisioning::GuestSpec;
use machine_provisioning::keys::{self, KeyPair};

pub use self::error::InitError;
use self::keeping::Making;
use crate::connection::ConnectionsFile;
use crate::connection::machine::{self as pair, Scheme};
use crate::machine::name::check_user;
use crate::machine::resources::Wish;
use crate::machine::sockets;
use crate::machine::volume;
use crate::machine::{
    DataDisk, ForwardSocket, MachineConfig, MachineName, Network, ProviderKind, Resources, Volume,
    Vsock,
};
use crate::ops::data_disk::{self, DataDiskError, Shortage};
use crate::ops::host::{Host, allocated_bytes};
use crate::ops::image::{self, ImageReporter, ImageRequest, LocalImage};
use crate::ops::os_disk::{self, Contents, MakeError, Recipe};
use crate::provider::{NewMachine, registry};
use crate::store::{Draft, EditGuard, Store, StoreError, StoredMachine};

/// The number of the guest's user where the host's user is root, who cannot be the guest's user.
const FIRST_USER_ID: u32 = 1000;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitRequest {
    /// The new machine's name.
    pub name: MachineName,
    /// What is to run it.
    pub provider: ProviderKind,
    /// The user in the guest.
    pub user: String,
    /// Its image; an empty file and the null device make a blank disk.
    pub image: ImageRequest,
    /// CPUs, memory and disk.
    pub wish: Wish,
    /// The file that is to be its data disk; without one it gets a new disk.
    pub data_disk: Option<PathBuf>,
    /// Whether the API socket is the engine of root.
    pub rootful: bool,
    /// How its connections lead to it.
    pub scheme: Scheme,
    /// The guest's time zone: a name, `local`, or nothing for the guest's own.
    pub time_zone: String,
    /// Compressed swap space in MiB; 0 is none.
    pub swap_mib: u64,
    /// Whether the guest trusts the host's certificate authorities.
    pub import_native_ca: bool,
    /// The vsock that it is to have.
    pub vsock: Vsock,
    /// What carries its packets.
    pub network: Network,
    /// Whether its guest reaches the host's loopback.
    pub host_loopback: bool,
    /// Whether servers of the guest are ports of the host.
    pub forward_listeners: bool,
    /// Folders of the host in the guest.
    pub volumes: Vec<Volume>,
    /// Sockets of the host in the guest.
    pub forward_sockets: Vec<ForwardSocket>,
    /// Where programs are looked for before `PATH`.
    pub program_directories: Vec<PathBuf>,
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InitProgress {
    /// The image is being fetched.
    Fetching(FetchProgress),
    /// Something the user should know.
    Notice(String),
    /// Something that was done besides.
    Done(String),
    /// The checks are passed, this image will be used.
    Image {
        /// The image with its format and size.
        description: String,
    },
    /// The disk is being made.
    Copying {
        /// Bytes that are there.
        done: u64,
        /// Bytes of the image.
        total: u64,
    },
    /// The disk is there; the rest is written.
    Completing,
    /// The machine is there; its provider makes what it keeps of it itself, which may take minutes.
    Keeping,
}

/// Told about the progress, and asked whether to go on.
pub trait InitReporter: Send + Sync {
    /// How far it is.
    fn progress(&self, progress: InitProgress);

    /// Whether to give up. It is asked between two steps and after every piece of the copy.
    fn cancelled(&self) -> bool {
        false
    }

    /// Ends when the user gives up: a download waits for nothing else.
    fn stopped(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::pending())
    }
}

/// What was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitOutcome {
    /// The new machine.
    pub machine: StoredMachine,
    /// The image it was made from, with its format and size.
    pub image: String,
    /// The data disk may become larger than the host has room for, and its size was asked for.
    pub shortage: Option<Shortage>,
}

/// What is checked and computed before anything is made.
struct Plan {
    image: LocalImage,
    contents: Contents,
    description: String,
    uid: u32,
    secret: Secret,
    client_key: KeyPair,
    host_key: KeyPair,
    guest: GuestSpec,
    ignition: String,
}

/// Makes a machine.
///
/// A future that is dropped makes none, or a complete one where the last step had begun; what its provider keeps of that
/// is made by its first start. What was fetched into `cache`
/// stays there.
pub async fn init(
    store: &Store,
    cache: &Cache,
    connections: &ConnectionsFile,
    host: &Host,
    request: &InitRequest,
    reporter: &dyn InitReporter,
) -> Result<InitOutcome, InitError> {
    let go_on = || {
        if reporter.cancelled() {
            return Err(InitError::Cancelled(request.name.clone()));
        }
        Ok(())
    };
    let (resources, data_disk) = check(store, connections, host, request)?;
    let files = store.likely_files(&request.name);
    let new = NewMachine {
        name: request.name.to_string(),
        directory: files.directory().to_owned(),
        sockets: files.sockets().to_owned(),
        own_directory: files.provider_directory(),
        data_disk: match &data_disk {
            Some(DataDisk::At(path)) => Some(path.clone()),
            Some(DataDisk::Own) | None => None,
        },
        program_directories: request.program_directories.clone(),
    };
    let provider = registry::provider(request.provider).map_err(Box::new)?;
    provider.check_new(&new).await.map_err(Box::new)?;
    let image = image::obtain(cache, &request.image, &Reporter(reporter)).await?;
    let plan = plan(host, request, image)?;
    go_on()?;
    reporter.progress(InitProgress::Image {
        description: plan.description.clone(),
    });

    let draft = {
        let (store, name) = (store.clone(), request.name.clone());
        blocking(&request.name, move || store.begin(&name)).await??
    };
    go_on()?;
    let recipe = Recipe {
        image: &plan.image,
        contents: plan.contents,
        guest: &plan.guest,
        checksum: request.image.checksum,
        provider: request.provider,
        bytes: os_disk::least_bytes(data_disk.is_some(), resources.disk_gib),
    };
    let made = os_disk::make(draft.files(), host, &recipe, &Reporter(reporter)).await;
    let disk = made.map_err(|error| match error {
        MakeError::Image(ImageError::Cancelled { .. }) => {
            InitError::Cancelled(request.name.clone())
        }
        MakeError::Image(error) => error.into(),
        MakeError::Tree(error) => error.into(),
    })?;
    go_on()?;
    reporter.progress(InitProgress::Completing);
    write_files(&draft, &plan, &request.name)?;
    go_on()?;
    match &data_disk {
        Some(DataDisk::Own) => data_disk::create(&draft.files().data_disk(), resources.disk_gib)?,
        Some(DataDisk::At(path)) if request.wish.disk_gib.is_some() => {
            data_disk::grow(path, resources.disk_gib)?;
        }
        Some(DataDisk::At(_)) | None => {}
    }

    let place = match &data_disk {
        Some(DataDisk::Own) => &draft.files().data_disk(),
        Some(DataDisk::At(path)) => path,
        None => &draft.files().os_disk(disk.format),
    };
    let shortage = shortage(host, place, request.wish.disk_gib);

    // Held until the machine's file says whose it is, so that another `init` finds another.
    let port = store.free_ssh_port();
    let (listener, ssh_port) = port.map_err(|source| InitError::Port { source })?;
    let config = MachineConfig {
        name: request.name.clone(),
        created: Timestamp::now(),
        provider: request.provider,
        user: request.user.clone(),
        uid: plan.uid,
        rootful: request.rootful,
        image: plan.image.name.clone(),
        image_checksum: plan.image.cached.map(|checksum| checksum.to_string()),
        disk: disk.format,
        base: disk.base,
        generation: 0,
        data_disk,
        sockets: draft.sockets().to_owned(),
        ssh_port,
        time_zone: request.time_zone.clone(),
        swap_mib: request.swap_mib,
        import_native_ca: request.import_native_ca,
        vsock: request.vsock,
        network: request.network,
        ports: Vec::new(),
        host_loopback: request.host_loopback,
        forward_listeners: request.forward_listeners,
        resources,
        volumes: request.volumes.clone(),
        forward_sockets: request.forward_sockets.clone(),
    };
    let commit = {
        let (store, connections, scheme) = (store.clone(), connections.clone(), request.scheme);
        move || commit(&store, &connections, draft, &config, scheme)
    };
    let machine = blocking(&request.name, commit).await??;
    drop(listener);
    if os_disk::is_kept_by(request.provider) {
        let making = Making {
            store,
            connections,
            provider: &*provider,
            machine: &machine,
        };
        making.keep(&new, reporter).await?;
    }
    Ok(InitOutcome {
        machine,
        image: plan.description,
        shortage,
    })
}

/// Whether a disk of the size that was asked for could outgrow what is free where it lies. A file system without an answer is
/// not asked again.
fn shortage(host: &Host, disk: &Path, wanted: Option<u64>) -> Option<Shortage> {
    let free = (host.free_bytes)(disk.parent().unwrap_or(disk)).ok()?;
    let there = fs_err::metadata(disk).map_or(0, |metadata| allocated_bytes(&metadata));
    data_disk::shortage(wanted?, there, free)
}

/// Makes the draft a machine and gives it its connections: a connection that exists leads to a machine, so that comes
/// first. Where it cannot have them the machine is removed again; a command killed in between leaves one without, and the
/// next start completes it.
fn commit(
    store: &Store,
    connections: &ConnectionsFile,
    draft: Draft,
    config: &MachineConfig,
    scheme: Scheme,
) -> Result<StoredMachine, InitError> {
    let machine = draft.commit(config)?;
    match pair::add(connections, config, &machine.files, scheme, None) {
        Ok(()) => Ok(machine),
        Err(error) => {
            if let Err(undo) = store.edit(&config.name).and_then(EditGuard::remove) {
                tracing::warn!(error = %undo, "the machine without connections could not be removed");
            }
            Err(error.into())
        }
    }
}

/// The checks in podman's order, as far as they need no image.
fn check(
    store: &Store,
    connections: &ConnectionsFile,
    host: &Host,
    request: &InitRequest,
) -> Result<(Resources, Option<DataDisk>), InitError> {
    check_user(&request.user)?;
    store.check_free(&request.name)?;
    // The pair of a machine whose `rm` was killed is in nobody's way.
    pair::sweep(connections, |name| store.absent(name))?;
    pair::check_free(&connections.read()?, &request.name)?;
    let mut resources = Resources::settle(&request.wish, &host.resources)?;
    let data_disk = match &request.data_disk {
        None if !os_disk::has_data_disk(request.provider) => None,
        None => Some(DataDisk::Own),
        Some(_) if !os_disk::has_data_disk(request.provider) => {
            return Err(DataDiskError::Nameless(request.provider).into());
        }
        Some(path) => {
            let found = data_disk::find(path, request.wish.disk_gib)?;
            store.check_data_disk(&found.path, &request.name)?;
            resources.disk_gib = found.gib;
            resources.check_bounds()?;
            Some(DataDisk::At(found.path))
        }
    };
    if let Some(wanted) = request.wish.disk_gib {
        let place = match &data_disk {
            Some(DataDisk::At(path)) => path,
            Some(DataDisk::Own) | None => store.directory(),
        };
        data_disk::check_fits(host, place, wanted)?;
    }
    volume::check(&request.volumes, &request.user)?;
    sockets::check(&request.forward_sockets, &request.volumes, &request.user)?;
    Ok((resources, data_disk))
}

/// What is left to check, and what else can fail without leaving anything.
fn plan(host: &Host, request: &InitRequest, image: LocalImage) -> Result<Plan, InitError> {
    let contents = os_disk::look::<InitError>(request.provider, &image)?;
    let uid = match host.user_id {
        0 => FIRST_USER_ID,
        uid => uid,
    };
    let comment = format!("machine {}", request.name);
    let client_key = keys::generate(&comment)?;
    let host_key = keys::generate(&comment)?;
    let guest = guest(
        &request.user,
        uid,
        &request.volumes,
        client_key.public.clone(),
        host_key.clone(),
    );
    let ignition = machine_provisioning::ignition(&guest)?;
    Ok(Plan {
        contents,
        description: os_disk::describe(&image.name, contents),
        image,
        uid,
        secret: Secret::generate()?,
        client_key,
        host_key,
        guest,
        ignition,
    })
}

/// Tells of a download as a part of making the machine.
pub(super) struct Reporter<'a>(pub(super) &'a dyn InitReporter);

impl machine_images::Reporter for Reporter<'_> {
    fn copying(&self, done: u64, total: u64) {
        self.0.progress(InitProgress::Copying { done, total });
    }

    fn cancelled(&self) -> bool {
        self.0.cancelled()
    }
}

impl FetchReporter for Reporter<'_> {
    fn progress(&self, progress: FetchProgress) {
        self.0.progress(InitProgress::Fetching(progress));
    }

    fn stopped(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.0.stopped()
    }
}

impl ImageReporter for Reporter<'_> {
    fn notice(&self, text: &str) {
        self.0.progress(InitProgress::Notice(text.to_owned()));
    }

    fn done(&self, text: &str) {
        self.0.progress(InitProgress::Done(text.to_owned()));
    }
}

fn write_files(draft: &Draft, plan: &Plan, name: &MachineName) -> Result<(), StoreError> {
    let files = draft.files();
    let line = |text: &str| format!("{}\n", text.trim_end());
    let known_hosts = known_hosts(name, &plan.host_key);
    draft.create_directory(&files.ssh_directory())?;
    for (path, content) in [
        (files.ssh_client_key(), plan.client_key.private.clone()),
        (files.ssh_client_public_key(), line(&plan.client_key.public)),
        (files.ssh_host_key(), plan.host_key.private.clone()),
        (files.ssh_host_public_key(), line(&plan.host_key.public)),
        (files.known_hosts(), known_hosts),
        (files.secret(), line(&plan.secret.to_hex())),
        (files.ignition(), plan.ignition.clone()),
    ] {
        draft.write_private(&path, content.as_bytes())?;
    }
    Ok(())
}

/// What SSH clients know a guest by. They name it by its machine (`HostKeyAlias`), whatever port it is reached by.
pub(super) fn known_hosts(name: &MachineName, host_key: &KeyPair) -> String {
    let host_key: Vec<_> = host_key.public.split(' ').take(2).collect();
    format!("{name} {}\n", host_key.join(" "))
}

/// What a guest is told for life.
pub(super) fn guest(
    user: &str,
    uid: u32,
    volumes: &[Volume],
    authorized_key: String,
    host_key: KeyPair,
) -> GuestSpec {
    GuestSpec {
        user: user.to_owned(),
        uid,
        authorized_key,
        host_key: host_key.into(),
        mounts: volumes.iter().map(|volume| volume.target.clone()).collect(),
    }
}

/// Runs what waits for locks and disks where it may.
async fn blocking<T: Send + 'static>(
    name: &MachineName,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, InitError> {
    let name = name.clone();
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|source| InitError::Lost { name, source })
}
