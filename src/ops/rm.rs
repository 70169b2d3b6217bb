//! `rm`: removing a machine with all its files.
//!
//! In two steps, so that a user can be asked in between: [`plan`] says what would be deleted, [`remove`] does it. The
//! second looks again, since a machine may have been started while the user thought.

mod error;

use std::error::Error;
use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::connection::machine as pair;
use crate::connection::{ConnectionError, ConnectionsFile};
use crate::machine::{DataDisk, MachineConfig, MachineName, Status};
use crate::provider::registry;
use crate::store::{EditGuard, MachineFiles, Store, StoreError};
use crate::supervisor::client;

pub use self::error::RemoveError;

/// What would be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemovalPlan {
    /// The machine.
    pub name: MachineName,
    /// Its files, as the removal knows them.
    pub files: MachineFiles,
    /// What it was doing.
    pub status: Status,
    /// Every file that would be deleted, sorted; the machine's directory is the last.
    pub paths: Vec<PathBuf>,
    /// What was asked for when it was made; `None` where that cannot be read.
    pub config: Option<MachineConfig>,
    /// Whether its own data disk is kept.
    pub keeps_data: bool,
}

impl RemovalPlan {
    /// The same without the machine's own data disk, which is moved to where it is kept.
    pub fn keep_data(mut self) -> Result<Self, RemoveError> {
        let disk = self.files.data_disk();
        let disks = self.config.as_ref().map(|config| &config.data_disk);
        match disks {
            // The user's own file stays anyway, and so does one that is not known.
            Some(Some(DataDisk::At(_))) => return Ok(self),
            None if !self.paths.contains(&disk) => return Ok(self),
            Some(Some(DataDisk::Own)) | None if self.paths.contains(&disk) => {}
            _ => return Err(RemoveError::NoDataDisk { name: self.name }),
        }
        self.paths.retain(|path| *path != disk);
        self.keeps_data = true;
        Ok(self)
    }

    /// The user's own file that is the machine's data disk, and stays.
    pub fn file_that_stays(&self) -> Option<&Path> {
        match self.config.as_ref()?.data_disk.as_ref()? {
            DataDisk::At(path) => Some(path),
            DataDisk::Own => None,
        }
    }
}

/// Finishes the removal of a machine that an earlier command could not finish, so that who tries again need not wait for
/// another change to do it. What still cannot be done is left to that.
pub fn finish(store: &Store, connections: &ConnectionsFile) {
    let finished = store.clear_leftovers().map_err(RemoveError::from);
    let swept = pair::sweep(connections, |name| store.absent(name));
    if let Err(error) = finished {
        tracing::warn!(%error, "What is left of removed machines stays");
    }
    if let Err(error) = swept {
        tracing::warn!(%error, "The connections of removed machines stay");
    }
}

/// What would be removed. Without `force` the machine must be readable and stopped.
pub fn plan(
    store: &Store,
    name: &str,
    force: bool,
    probe: impl Fn(&MachineFiles) -> Status,
) -> Result<RemovalPlan, RemoveError> {
    let not_found = |_| StoreError::NotFound {
        name: name.to_owned(),
    };
    let name = MachineName::parse(name).map_err(not_found)?;
    let (files, config) =
        match store.load(&name) {
            Ok(machine) => (machine.files, Some(machine.config)),
            Err(
                StoreError::Corrupt { .. } | StoreError::Newer { .. } | StoreError::Read { .. },
            ) if force => (store.files(&name)?, None),
            Err(error) => return Err(error.into()),
        };
    let status = probe(&files);
    refuse_running(&name, &status, force)?;
    let plan = RemovalPlan {
        paths: paths(&files)?,
        name,
        files,
        status,
        config,
        keeps_data: false,
    };
    match plan.file_that_stays() {
        Some(path) if is_inside(path, plan.files.directory()) => Err(RemoveError::DataDiskInside {
            path: path.to_owned(),
            name: plan.name,
        }),
        _ => Ok(plan),
    }
}

/// Whether a file, which may be missing, lies below a directory, whatever links and spellings lead to either.
fn is_inside(path: &Path, directory: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(path).ok();
    let of_missing = || Some(real(path.parent()?)?.join(path.file_name()?));
    match (real(path).or_else(of_missing), real(directory)) {
        (Some(path), Some(directory)) => path.starts_with(directory),
        _ => path.starts_with(directory),
    }
}

/// What was removed, and what could not be.
#[derive(Debug, Default)]
pub struct Removed {
    /// The machine is gone, its connections may still be there: the next command that changes something removes them.
    pub connections: Option<ConnectionError>,
    /// Where its data disk is kept.
    pub data_disk: Option<PathBuf>,
}

/// Removes what was planned. A machine that is not stopped is stopped first where `force` says so, else refused.
pub async fn remove<E>(
    store: &Store,
    connections: &ConnectionsFile,
    plan: &RemovalPlan,
    force: bool,
    probe: impl Fn(&MachineFiles) -> Status,
    stop: impl AsyncFnOnce(&MachineFiles) -> Result<(), E>,
) -> Result<Removed, RemoveError>
where
    E: Error + Send + Sync + 'static,
{
    let name = &plan.name;
    let status = probe(&plan.files);
    refuse_running(name, &status, force)?;
    if !status.is_stopped() {
        stop(&plan.files)
            .await
            .map_err(|source| RemoveError::Stop {
                name: name.clone(),
                source: Box::new(source),
            })?;
        let status = probe(&plan.files);
        if !status.is_stopped() {
            let name = name.clone();
            return Err(RemoveError::StillRunning { name, status });
        }
    }
    client::sweep(&plan.files);
    let guard = {
        let (store, name) = (store.clone(), name.clone());
        blocking(&plan.name, move || keep(&store, &name)).await??
    };
    discard(plan).await?;
    let (store, connections, plan) = (store.clone(), connections.clone(), plan.clone());
    let name = plan.name.clone();
    blocking(&name, move || {
        remove_now(&store, guard, &connections, &plan)
    })
    .await?
}

/// Runs what waits for files on a thread for that.
async fn blocking<T: Send + 'static>(
    name: &MachineName,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, RemoveError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|source| RemoveError::Lost {
        name: name.clone(),
        source,
    })
}

/// The machine, which nobody starts or changes any more.
fn keep(store: &Store, name: &MachineName) -> Result<EditGuard, StoreError> {
    let mut guard = store.edit(name)?;
    guard.stay_stopped()?;
    Ok(guard)
}

/// What the hypervisor keeps of the machine goes first, for the machine's directory says what that is. A machine that
/// nobody can read has perhaps something at each.
async fn discard(plan: &RemovalPlan) -> Result<(), RemoveError> {
    let kinds = match &plan.config {
        Some(config) => vec![config.provider],
        None => registry::kinds(),
    };
    for kind in kinds {
        // A host that has not got the provider has nothing that it keeps.
        let Ok(provider) = registry::provider(kind) else {
            continue;
        };
        let discarded = provider.discard(&plan.files.provider_directory()).await;
        discarded.map_err(|source| RemoveError::Kept {
            name: plan.name.clone(),
            source: Box::new(source),
        })?;
    }
    Ok(())
}

/// The machine first: connections that lead nowhere are swept by the next command, a machine without any is not whole.
fn remove_now(
    store: &Store,
    guard: EditGuard,
    connections: &ConnectionsFile,
    plan: &RemovalPlan,
) -> Result<Removed, RemoveError> {
    let removed = if plan.keeps_data {
        guard.remove_but_data()
    } else {
        guard.remove().map(|()| None)
    };
    let (data_disk, remains) = match removed {
        Ok(data_disk) => (data_disk, None),
        // It is gone all the same.
        Err(error @ (StoreError::Remains { .. } | StoreError::DataDiskNotMoved { .. })) => {
            (None, Some(error))
        }
        Err(error) => return Err(error.into()),
    };
    let gone = || store.absent(&plan.name).is_some();
    let unconnected = pair::remove(connections, &plan.files, gone)
        .and_then(|()| pair::sweep(connections, |name| store.absent(name)));
    match remains {
        Some(error) => Err(error.into()),
        None => Ok(Removed {
            connections: unconnected.err(),
            data_disk,
        }),
    }
}

fn refuse_running(name: &MachineName, status: &Status, force: bool) -> Result<(), RemoveError> {
    if force || status.is_stopped() {
        Ok(())
    } else {
        Err(RemoveError::Running {
            name: name.clone(),
            status: status.clone(),
        })
    }
}

/// Every file of the machine that there is, its sockets wherever they are with their directory, and last its own.
fn paths(files: &MachineFiles) -> Result<Vec<PathBuf>, StoreError> {
    let mut paths = Vec::new();
    collect(files.directory(), &mut paths).map_err(|source| StoreError::Read { source })?;
    let sockets = files.all_sockets().into_iter();
    paths.extend(sockets.filter(|socket| socket.symlink_metadata().is_ok()));
    paths.sort();
    paths.dedup();
    paths.extend(
        files
            .outside()
            .filter(|sockets| sockets.is_dir())
            .map(Path::to_owned),
    );
    paths.push(files.directory().to_owned());
    Ok(paths)
}

fn collect(directory: &Path, paths: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), paths)?;
        } else {
            paths.push(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
