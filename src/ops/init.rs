//! `init`: making a machine.
//!
//! Everything that can be found out beforehand is checked before anything is made, in podman's order: user, name,
//! memory, CPUs, image. After that the machine is made as a [`Draft`], so that a failure, a cancellation and a dropped
//! future leave nothing.

#[cfg(unix)]
#[path = "init/unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "init/windows.rs"]
mod platform;
#[cfg(test)]
#[path = "init/tests.rs"]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;
use jiff::Timestamp;
use machine_host::facts;
use machine_images::{ImageError, ImageKind};
use machine_protocol::secret::{Secret, SecretError};
use machine_provisioning::keys::{self, KeyError, KeyPair};
use machine_provisioning::{GuestSpec, ProvisioningError};
use thiserror::Error;

use crate::machine::name::{NameError, check_user};
use crate::machine::resources::{HostResources, ResourceError, Wish};
use crate::machine::{DiskFormat, MachineConfig, MachineName, ProviderKind, Resources};
use crate::store::{Draft, Store, StoreError, StoredMachine};

/// The guest's user when none is asked for; podman's images have it.
pub const DEFAULT_USER: &str = "core";

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
    /// A disk image; an empty file and the null device make a blank disk.
    pub image: PathBuf,
    /// CPUs, memory and disk.
    pub wish: Wish,
    /// Whether the API socket is the engine of root.
    pub rootful: bool,
}

/// What the host is like.
#[derive(Clone, Copy, Debug)]
pub struct Host {
    /// CPUs and memory.
    pub resources: HostResources,
    /// The number of the user; 0 is root.
    pub user_id: u32,
    /// The free space of the file system with this directory.
    pub free_bytes: fn(&Path) -> io::Result<u64>,
}

impl Host {
    /// This host.
    pub fn detect() -> Self {
        Self {
            resources: HostResources {
                cpus: facts::cpus(),
                memory_mib: facts::memory_mib(),
            },
            user_id: facts::user_id(),
            free_bytes: facts::free_bytes,
        }
    }
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InitProgress {
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
}

/// Told about the progress, and asked whether to go on.
pub trait InitReporter: Send + Sync {
    /// How far it is.
    fn progress(&self, progress: InitProgress);

    /// Whether to give up. It is asked between two steps and after every piece of the copy.
    fn cancelled(&self) -> bool {
        false
    }
}

/// What was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitOutcome {
    /// The new machine.
    pub machine: StoredMachine,
    /// The image it was made from, with its format and size.
    pub image: String,
}

/// Why no machine was made. Nothing of it is left.
#[derive(Debug, Error)]
pub enum InitError {
    /// The user in the guest cannot have this name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The host cannot give what is asked for.
    #[error(transparent)]
    Resources(#[from] ResourceError),
    /// The image cannot become a disk.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The name is taken, or a file cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No key could be made.
    #[error("The SSH keys could not be made")]
    Key(#[from] KeyError),
    /// No secret could be made.
    #[error("The machine's secret could not be made")]
    Secret(#[from] SecretError),
    /// The guest cannot be told what is asked for.
    #[error("The guest's first-boot configuration could not be made")]
    Provisioning(#[from] ProvisioningError),
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
            Self::Image(error) => error.hints(),
            Self::Store(error) => error.hints(),
            Self::Cancelled(_) => vec!["nothing of it is left".to_owned()],
            _ => Vec::new(),
        }
    }
}

/// What is checked and computed before anything is made.
struct Plan {
    resources: Resources,
    kind: ImageKind,
    description: String,
    uid: u32,
    secret: Secret,
    client_key: KeyPair,
    host_key: KeyPair,
    ignition: String,
}

/// Makes a machine.
///
/// A future that is dropped makes none, or a complete one where the last step had begun.
pub async fn init(
    store: &Store,
    host: &Host,
    request: &InitRequest,
    reporter: &dyn InitReporter,
) -> Result<InitOutcome, InitError> {
    let go_on = || match reporter.cancelled() {
        true => Err(InitError::Cancelled(request.name.clone())),
        false => Ok(()),
    };
    let plan = plan(store, host, request)?;
    go_on()?;
    reporter.progress(InitProgress::Image {
        description: plan.description.clone(),
    });

    let draft = {
        let (store, name) = (store.clone(), request.name.clone());
        blocking(&request.name, move || store.begin(&name)).await??
    };
    go_on()?;
    let disk = make_disk(&draft, host, request, &plan, reporter).await?;
    go_on()?;
    reporter.progress(InitProgress::Completing);
    write_files(&draft, &plan, &request.name)?;
    go_on()?;

    let config = MachineConfig {
        name: request.name.clone(),
        created: Timestamp::now(),
        provider: request.provider,
        user: request.user.clone(),
        uid: plan.uid,
        rootful: request.rootful,
        image: absolute(&request.image).display().to_string(),
        disk,
        sockets: draft.sockets().to_owned(),
        resources: plan.resources,
    };
    let machine = blocking(&request.name, move || draft.commit(&config)).await??;
    Ok(InitOutcome {
        machine,
        image: plan.description,
    })
}

/// The checks in podman's order, then what else can fail without leaving anything.
fn plan(store: &Store, host: &Host, request: &InitRequest) -> Result<Plan, InitError> {
    check_user(&request.user)?;
    store.check_free(&request.name)?;
    let resources = Resources::settle(&request.wish, &host.resources)?;
    let kind = machine_images::recognise(&request.image)?;
    let image_bytes = match kind {
        ImageKind::Empty => 0,
        ImageKind::Disk { virtual_bytes, .. } => virtual_bytes,
    };
    let resources = resources.fit_disk(&request.wish, image_bytes)?;

    let uid = match host.user_id {
        0 => FIRST_USER_ID,
        uid => uid,
    };
    let comment = format!("machine {}", request.name);
    let client_key = keys::generate(&comment)?;
    let host_key = keys::generate(&comment)?;
    let ignition = machine_provisioning::ignition(&GuestSpec {
        user: request.user.clone(),
        uid,
        authorized_key: client_key.public.clone(),
        host_key: host_key.clone().into(),
    })?;
    Ok(Plan {
        resources,
        kind,
        description: describe(&request.image, kind),
        uid,
        secret: Secret::generate()?,
        client_key,
        host_key,
        ignition,
    })
}

async fn make_disk(
    draft: &Draft,
    host: &Host,
    request: &InitRequest,
    plan: &Plan,
    reporter: &dyn InitReporter,
) -> Result<DiskFormat, InitError> {
    let format = match plan.kind {
        ImageKind::Disk {
            format: machine_images::DiskFormat::Raw,
            ..
        } => DiskFormat::Raw,
        _ => DiskFormat::Qcow2,
    };
    let destination = draft.files().os_disk(format);
    check_space(host, &request.image, &destination)?;
    let reporter = CopyReporter(reporter);
    let bytes = plan.resources.disk_bytes();
    match machine_images::prepare(&request.image, &destination, bytes, &reporter).await {
        Ok(_) => Ok(format),
        Err(ImageError::Cancelled { .. }) => Err(InitError::Cancelled(request.name.clone())),
        Err(error) => Err(error.into()),
    }
}

/// Refuses a copy that cannot fit before its first byte. A file system without an answer is not asked again.
fn check_space(host: &Host, image: &Path, destination: &Path) -> Result<(), ImageError> {
    let Ok(needed) = fs::metadata(image).map(|metadata| platform::allocated_bytes(&metadata))
    else {
        return Ok(());
    };
    let directory = destination.parent().unwrap_or(destination);
    match (host.free_bytes)(directory) {
        Ok(free) if free < needed => Err(ImageError::Full {
            path: destination.to_owned(),
            needed,
            free: Some(free),
            source: io::ErrorKind::StorageFull.into(),
        }),
        _ => Ok(()),
    }
}

struct CopyReporter<'a>(&'a dyn InitReporter);

impl machine_images::Reporter for CopyReporter<'_> {
    fn copying(&self, done: u64, total: u64) {
        self.0.progress(InitProgress::Copying { done, total });
    }

    fn cancelled(&self) -> bool {
        self.0.cancelled()
    }
}

fn write_files(draft: &Draft, plan: &Plan, name: &MachineName) -> Result<(), StoreError> {
    let files = draft.files();
    let line = |text: &str| format!("{}\n", text.trim_end());
    // Clients name the guest by its machine (`HostKeyAlias`), whatever port it is reached by.
    let host_key: Vec<_> = plan.host_key.public.split(' ').take(2).collect();
    let known_hosts = format!("{name} {}\n", host_key.join(" "));
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

/// The image as a user wants to see it: where it is, what it is, how large.
fn describe(image: &Path, kind: ImageKind) -> String {
    match kind {
        ImageKind::Empty => "none (a blank disk)".to_owned(),
        ImageKind::Disk {
            format,
            virtual_bytes,
        } => {
            let format = match format {
                machine_images::DiskFormat::Qcow2 => DiskFormat::Qcow2,
                machine_images::DiskFormat::Raw => DiskFormat::Raw,
            };
            let mib = virtual_bytes.div_ceil(1 << 20);
            format!("{} ({format}, {mib} MiB)", absolute(image).display())
        }
    }
}

/// The image's path, so that it still means something in another directory.
fn absolute(image: &Path) -> PathBuf {
    std::path::absolute(image).unwrap_or_else(|_| image.to_owned())
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
