//! `recreate`: another disk with the operating system for a machine that stays what it is.
//!
//! ```text
//! checks ─> image ─> (stopped, by force) ─> edit lock, run lock ─> new disk beside the old one ─> machine.toml ─> old disk
//! ```
//!
//! `machine.toml` names the disk, so writing it is the change: killed before, the machine has the old disk, and the new one
//! is cleared away by the next change or start; killed after, it is the other way round. Name, keys, secret, ports,
//! connections and the data disk are not touched. The first boot of the new disk finds the machine's Ignition
//! configuration, made anew, for the folders may be others than those of `init`.

#[cfg(test)]
mod tests;

use std::error::Error;
use std::path::Path;

use fs_err as fs;
use machine_host::atomic::{self, Access};
use machine_images::{Cache, Checksum, ImageError};
use machine_provisioning::keys::KeyPair;
use machine_provisioning::{GuestSpec, ProvisioningError};
use thiserror::Error;

use super::data_disk::{self, DataDiskError};
use super::host::Host;
use super::image::{self, ImageRequest, LocalImage, ObtainError};
use super::init::{self, InitProgress, InitReporter, Reporter};
use super::os_disk::{self, FormatError, MakeError, Recipe, TreeError};
use crate::machine::{DataDisk, MachineConfig, MachineName, Status};
use crate::store::{EditGuard, MachineFiles, Store, StoreError, StoredMachine, next_generation};
use crate::supervisor::client;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecreateRequest {
    /// The machine.
    pub name: MachineName,
    /// The image of its new disk; without one that which it has.
    pub image: Option<ImageRequest>,
    /// Whether a machine may lose its containers, images and volumes, because they are on the disk that goes.
    pub discard_data: bool,
    /// Whether a machine that is not stopped is stopped first.
    pub force: bool,
}

/// Why a machine has no other disk. It has the one that it had.
#[derive(Debug, Error)]
pub enum RecreateError {
    /// There is no such machine, it cannot be read, or a file cannot be changed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What its engines keep would go with the disk.
    #[error(
        "Machine `{0}` has no data disk: its images, containers, volumes, networks and quadlets are on the disk that \
         would be thrown away"
    )]
    NoDataDisk(MachineName),
    /// Another disk cannot take the place of this one.
    #[error("Machine `{0}` cannot be made anew, for its provider keeps its disk itself")]
    KeptElsewhere(MachineName),
    /// It runs, or it cannot be known that it does not.
    #[error("Machine `{name}` is {}, and only a stopped one can be made anew", status.word())]
    NotStopped {
        /// The machine.
        name: MachineName,
        /// What it is doing.
        status: Status,
    },
    /// It had to be stopped first, and that failed.
    #[error("Machine `{name}` could not be stopped, so it was not made anew")]
    Stop {
        /// The machine.
        name: MachineName,
        /// Why it could not be stopped.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Nobody knows where the image came from.
    #[error("The image of machine `{name}`, `{image}`, is not in the cache any more")]
    ImageGone {
        /// The machine.
        name: MachineName,
        /// What it was called.
        image: String,
    },
    /// The image cannot be had.
    #[error(transparent)]
    Obtain(#[from] ObtainError),
    /// The image cannot become a disk.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The tree of the image cannot become the machine's.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The provider has no such disks.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// There can be no data disk.
    #[error(transparent)]
    DataDisk(#[from] DataDiskError),
    /// The guest cannot be told what it has to be.
    #[error("The guest's first-boot configuration could not be made")]
    Provisioning(#[from] ProvisioningError),
    /// The reporter said so.
    #[error("Making machine `{0}` anew was cancelled")]
    Cancelled(MachineName),
    /// A thread of this program ended without an answer, which is an error of this program.
    #[error("Making machine `{name}` anew ended unexpectedly")]
    Lost {
        /// The machine.
        name: MachineName,
        /// How the thread ended.
        source: tokio::task::JoinError,
    },
}

impl RecreateError {
    /// What the user can do about it.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Store(error) => error.hints(),
            Self::NoDataDisk(name) => vec![
                "save what is needed: podman save, podman volume export".to_owned(),
                format!("if nothing of it is needed: machine recreate --discard-data {name}"),
            ],
            Self::KeptElsewhere(name) => vec![format!(
                "save what is needed, then `machine rm {name}` and `machine init {name}`"
            )],
            Self::NotStopped { name, .. } => vec![format!(
                "stop it with `machine stop {name}`, or stop and recreate it with `machine recreate --force {name}`"
            )],
            Self::ImageGone { name, .. } => vec![format!(
                "name the image that it is to have: machine recreate --image stable {name}"
            )],
            Self::Obtain(error) => error.hints(),
            Self::Image(error) => error.hints(),
            Self::Format(error) => error.hints(),
            Self::DataDisk(error) => error.hints(),
            Self::Cancelled(_) => vec!["it has the disk that it had".to_owned()],
            Self::Stop { .. } | Self::Tree(_) | Self::Provisioning(_) | Self::Lost { .. } => {
                Vec::new()
            }
        }
    }
}

/// What became of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recreated {
    /// The machine.
    pub machine: StoredMachine,
    /// Whether it had no data disk and has one now.
    pub has_new_data_disk: bool,
}

/// Gives a machine another disk with the operating system.
///
/// A future that is dropped leaves the machine with the old disk or with the new one.
pub async fn recreate<E: Error + Send + Sync + 'static>(
    store: &Store,
    cache: &Cache,
    host: &Host,
    request: &RecreateRequest,
    reporter: &dyn InitReporter,
    stop: impl AsyncFnOnce(&MachineFiles) -> Result<(), E>,
) -> Result<Recreated, RecreateError> {
    let name = &request.name;
    let StoredMachine { config, files } = store.load(name)?;
    if os_disk::is_kept_by(config.provider) {
        return Err(RecreateError::KeptElsewhere(name.clone()));
    }
    if config.data_disk.is_none() && !request.discard_data {
        return Err(RecreateError::NoDataDisk(name.clone()));
    }
    let status = client::status(&files).await;
    if !request.force {
        refuse_running(name, &status)?;
    }
    // The downtime begins when all is there.
    let image = match &request.image {
        Some(image) => image::obtain(cache, image, &Reporter(reporter)).await?,
        None => image_of(cache, &config, &files)?,
    };
    let contents = os_disk::look::<RecreateError>(config.provider, &image)?;
    go_on(name, reporter)?;
    reporter.progress(InitProgress::Image {
        description: os_disk::describe(&image.name, contents),
    });
    if !status.is_stopped() {
        stop(&files).await.map_err(|source| RecreateError::Stop {
            name: name.clone(),
            source: Box::new(source),
        })?;
    }

    let guard = edit(store, name).await?;
    // From here on nobody can start it.
    let lock = guard.keep_stopped()?;
    let status = client::status(guard.files()).await;
    refuse_running(name, &status)?;
    let Some(lock) = lock else {
        let (name, status) = (name.clone(), Status::Busy);
        return Err(RecreateError::NotStopped { name, status });
    };
    // Another command may have changed it since.
    let config = store.load(name)?.config;
    let may_have_data_disk = os_disk::has_data_disk(config.provider);
    let gets_data_disk = may_have_data_disk && config.data_disk.is_none();
    let guest = guest_of(&config, guard.files())?;
    let recipe = Recipe {
        image: &image,
        contents,
        guest: &guest,
        checksum: request.image.as_ref().and_then(|image| image.checksum),
        provider: config.provider,
        bytes: os_disk::least_bytes(may_have_data_disk, config.resources.disk_gib),
    };
    let generation = next_generation(config.generation);
    let next = guard.files().of_generation(generation);
    let made = os_disk::make(&next, host, &recipe, &Reporter(reporter)).await;
    let disk = made.map_err(|error| match error {
        MakeError::Image(ImageError::Cancelled { .. }) => RecreateError::Cancelled(name.clone()),
        MakeError::Image(error) => error.into(),
        MakeError::Tree(error) => error.into(),
    });
    let changed = disk.and_then(|disk| {
        go_on(name, reporter)?;
        reporter.progress(InitProgress::Completing);
        write_ignition(&config, &guest, guard.files())?;
        if gets_data_disk {
            data_disk::create(&guard.files().data_disk(), config.resources.disk_gib)?;
        }
        guard.update::<RecreateError>(|new| {
            new.generation = generation;
            new.disk = disk.format;
            new.base = disk.base;
            new.image.clone_from(&image.name);
            new.image_checksum = image.cached.map(|checksum| checksum.to_string());
            if gets_data_disk {
                new.data_disk = Some(DataDisk::Own);
            }
            Ok(())
        })
    });
    // The old disk, or the new one where it is not the machine's.
    guard.clear_other_disks(&lock);
    changed?;
    Ok(Recreated {
        machine: store.load(name)?,
        has_new_data_disk: gets_data_disk,
    })
}

fn go_on(name: &MachineName, reporter: &dyn InitReporter) -> Result<(), RecreateError> {
    if reporter.cancelled() {
        return Err(RecreateError::Cancelled(name.clone()));
    }
    Ok(())
}

fn refuse_running(name: &MachineName, status: &Status) -> Result<(), RecreateError> {
    if status.is_stopped() {
        return Ok(());
    }
    Err(RecreateError::NotStopped {
        name: name.clone(),
        status: status.clone(),
    })
}

/// The image that the machine has: in the cache, below its disk, or the file that it was made from.
fn image_of(
    cache: &Cache,
    config: &MachineConfig,
    files: &MachineFiles,
) -> Result<LocalImage, RecreateError> {
    let image = |path: &Path, cached| LocalImage {
        path: path.to_owned(),
        name: config.image.clone(),
        cached,
        was_there: true,
    };
    let text = config.image_checksum.as_deref();
    let Some(checksum) = text.and_then(|text| text.parse::<Checksum>().ok()) else {
        // It was a file of the host, which tells what is wrong with it.
        return Ok(image(Path::new(&config.image), None));
    };
    if let Some(found) = cache.find(&checksum) {
        return Ok(image(&found.disk(), Some(checksum)));
    }
    let base = config.base.map(|format| files.base_disk(format));
    match base.filter(|base| base.is_file()) {
        Some(base) => Ok(image(&base, Some(checksum))),
        None => Err(RecreateError::ImageGone {
            name: config.name.clone(),
            image: config.image.clone(),
        }),
    }
}

/// What the guest is told for life.
fn guest_of(config: &MachineConfig, files: &MachineFiles) -> Result<GuestSpec, RecreateError> {
    let read = |path: &Path| {
        fs::read_to_string(path).map_err(|source| RecreateError::from(StoreError::Read { source }))
    };
    let line = |path: &Path| read(path).map(|text| text.trim_end().to_owned());
    // The key itself is the client's.
    let client_key = line(&files.ssh_client_public_key())?;
    let host_key = KeyPair {
        private: read(&files.ssh_host_key())?,
        public: line(&files.ssh_host_public_key())?,
    };
    let volumes = &config.volumes;
    Ok(init::guest(
        &config.user,
        config.uid,
        volumes,
        client_key,
        host_key,
    ))
}

/// Writes what the first boot of the new disk is told. The old one has had its first boot, or takes this one as well.
fn write_ignition(
    config: &MachineConfig,
    guest: &GuestSpec,
    files: &MachineFiles,
) -> Result<(), RecreateError> {
    let ignition = machine_provisioning::ignition(guest)?;
    atomic::write(&files.ignition(), ignition.as_bytes(), Access::Private).map_err(|source| {
        let name = config.name.clone();
        StoreError::Write { name, source }.into()
    })
}

/// The edit lock, waited for where it may be.
async fn edit(store: &Store, name: &MachineName) -> Result<EditGuard, RecreateError> {
    let (store, owned) = (store.clone(), name.clone());
    let guard = tokio::task::spawn_blocking(move || store.edit(&owned));
    let guard = guard.await.map_err(|source| RecreateError::Lost {
        name: name.clone(),
        source,
    })?;
    Ok(guard?)
}
