//! `rm`: removing a machine with all its files.
//!
//! In two steps, so that a user can be asked in between: [`plan`] says what would be deleted, [`remove`] does it. The
//! second looks again, since a machine may have been started while the user thought.

use std::error::Error;
use std::path::{Path, PathBuf};

use fs_err as fs;
use thiserror::Error;

use crate::connection::machine as pair;
use crate::connection::{ConnectionError, ConnectionsFile};
use crate::machine::{DataDisk, MachineConfig, MachineName, Status};
use crate::provider::{ProviderError, registry};
use crate::store::{MachineFiles, Store, StoreError};
use crate::supervisor::client;

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

/// Why a machine was not removed.
#[derive(Debug, Error)]
pub enum RemoveError {
    /// There is no such machine, it cannot be read, or a file cannot be changed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It runs, or it cannot be known that it does not.
    #[error("running vm \"{name}\" cannot be destroyed")]
    Running {
        /// The machine.
        name: MachineName,
        /// What it is doing.
        status: Status,
    },
    /// There is nothing to keep.
    #[error("Machine `{name}` has no data disk of its own that could be kept")]
    NoDataDisk {
        /// The machine.
        name: MachineName,
    },
    /// A file of the user's would go with the directory.
    #[error("The data disk `{}` lies in the directory of machine `{name}`, which would be removed", path.display())]
    DataDiskInside {
        /// The machine.
        name: MachineName,
        /// The disk.
        path: PathBuf,
    },
    /// It had to be stopped first, and that failed.
    #[error("Machine `{name}` could not be stopped, so it was not removed")]
    Stop {
        /// The machine.
        name: MachineName,
        /// Why it could not be stopped.
        source: Box<dyn Error + Send + Sync>,
    },
    /// What the hypervisor keeps of it stays.
    #[error(
        "What the hypervisor keeps of machine `{name}` could not be removed, so the machine was not"
    )]
    Kept {
        /// The machine.
        name: MachineName,
        /// Why.
        source: Box<ProviderError>,
    },
    /// It was stopped and runs all the same.
    #[error("Machine `{name}` is {} after it was stopped, so it was not removed", status.word())]
    StillRunning {
        /// The machine.
        name: MachineName,
        /// What it is doing.
        status: Status,
    },
    /// A thread of this program ended without an answer, which is an error of this program.
    #[error("Removing machine `{name}` ended unexpectedly")]
    Lost {
        /// The machine.
        name: MachineName,
        /// How the thread ended.
        source: tokio::task::JoinError,
    },
}

impl RemoveError {
    /// Whether no machine has the name.
    pub fn names_nobody(&self) -> bool {
        matches!(self, Self::Store(StoreError::NotFound { .. }))
    }

    /// What the user can do about it.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Store(error) => error.hints(),
            Self::Running { name, .. } => StoreError::InUse { name: name.clone() }.hints(),
            Self::NoDataDisk { name } => vec![format!(
                "what its engines keep goes with the machine; remove it all with `machine rm {name}`"
            )],
            Self::DataDiskInside { .. } => vec![
                "move it out, and correct `data_disk` in the machine's `machine.toml`".to_owned(),
            ],
            Self::Kept { source, .. } => source.hints(),
            Self::Stop { .. } | Self::StillRunning { .. } | Self::Lost { .. } => Vec::new(),
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
    discard(plan).await?;
    let work = {
        let (store, connections) = (store.clone(), connections.clone());
        let plan = plan.clone();
        move || remove_now(&store, &connections, &plan)
    };
    let removed = tokio::task::spawn_blocking(work).await;
    removed.map_err(|source| RemoveError::Lost {
        name: name.clone(),
        source,
    })?
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
    connections: &ConnectionsFile,
    plan: &RemovalPlan,
) -> Result<Removed, RemoveError> {
    let guard = store.edit(&plan.name)?;
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
mod tests {
    use std::cell::Cell;

    use machine_host::directories::Directories;

    use super::*;
    use crate::connection::Connection;
    use crate::store::StoredMachine;
    use crate::store::testing::{Bench, make};

    #[derive(Debug, Error)]
    #[error("It does not stop")]
    struct Stubborn;

    async fn never(_: &MachineFiles) -> Result<(), Stubborn> {
        panic!("a stopped machine is not stopped");
    }

    fn connections(bench: &Bench) -> ConnectionsFile {
        ConnectionsFile::at(bench.root.path().join("connections.json"))
    }

    fn stopped(_: &MachineFiles) -> Status {
        Status::Stopped
    }

    #[tokio::test]
    async fn the_plan_is_complete_and_what_is_planned_goes() {
        let bench = Bench::new();
        let machine = bench.make("dev");
        fs::create_dir(machine.files.ssh_directory()).unwrap();
        for file in [
            machine.files.ssh_client_key(),
            machine.files.seed(),
            machine.files.api_socket(),
            machine.files.directory().join("a-stranger"),
        ] {
            fs::write(file, "").unwrap();
        }
        let plan = plan(&bench.store, "dev", false, stopped).unwrap();
        let shown: Vec<_> = plan
            .paths
            .iter()
            .map(|path| path.strip_prefix(machine.files.directory()).unwrap())
            .map(|path| path.to_str().unwrap().replace('\\', "/"))
            .collect();
        assert_eq!(
            shown,
            [
                "a-stranger",
                "disk.qcow2",
                "machine.toml",
                "podman.sock",
                "seed.img",
                "ssh/id_ed25519",
                ""
            ]
        );
        remove(
            &bench.store,
            &connections(&bench),
            &plan,
            false,
            stopped,
            never,
        )
        .await
        .unwrap();
        assert!(plan.paths.iter().all(|path| !path.exists()));
        assert_eq!(bench.hidden(), [""; 0]);
    }

    #[tokio::test]
    async fn the_connections_go_with_the_machine() {
        let bench = Bench::new();
        let machine = bench.make("dev");
        let file = connections(&bench);
        let (config, files) = (&machine.config, &machine.files);
        pair::add(&file, config, files, pair::Scheme::Ssh, None).unwrap();
        let planned = plan(&bench.store, "dev", false, stopped).unwrap();
        let removed = remove(&bench.store, &file, &planned, false, stopped, never);
        assert!(removed.await.unwrap().connections.is_none());
        let left = file.read().unwrap();
        assert!(left.is_empty());
        assert_eq!(left.default_name(), None);

        // A file that cannot be read keeps no machine.
        bench.make("dev");
        fs::write(file.path(), "{").unwrap();
        let planned = plan(&bench.store, "dev", false, stopped).unwrap();
        let removed = remove(&bench.store, &file, &planned, false, stopped, never);
        let error = removed.await.unwrap().connections.unwrap();
        assert!(matches!(error, ConnectionError::Damaged { .. }), "{error}");
        assert!(bench.store.names().unwrap().is_empty());
    }

    /// A machine whose sockets lie outside of its directory, with its pair of connections.
    fn scattered(root: &Path) -> (Store, StoredMachine, ConnectionsFile) {
        let store = Store::open(&Directories {
            data: root.join("d".repeat(90)),
            config_file: root.join("config.toml"),
            short_sockets: root.join("s"),
            home: root.to_owned(),
        });
        let machine = make(&store, "dev");
        let file = ConnectionsFile::at(root.join("connections.json"));
        let (config, files) = (&machine.config, &machine.files);
        pair::add(&file, config, files, pair::Scheme::Socket, None).unwrap();
        (store, machine, file)
    }

    async fn removed(store: &Store, file: &ConnectionsFile) -> RemovalPlan {
        let planned = plan(store, "dev", false, stopped).unwrap();
        let removed = remove(store, file, &planned, false, stopped, never);
        assert!(removed.await.unwrap().connections.is_none());
        planned
    }

    #[tokio::test]
    async fn what_is_outside_goes_and_what_lies_beside_it_stays() {
        let root = tempfile::tempdir().unwrap();
        let (store, machine, file) = scattered(root.path());
        let sockets = machine.files.outside().unwrap().to_owned();
        fs::write(machine.files.api_socket(), "").unwrap();
        let neighbour = sockets.with_file_name("0123abcd");
        fs::create_dir(&neighbour).unwrap();
        fs::write(neighbour.join("podman.sock"), "").unwrap();
        // A connection of the machine under another name, and another's under the machine's.
        file.edit(|connections| {
            let mine = connections.get("dev-root").unwrap().clone();
            connections.insert("mine", mine);
            connections.remove("dev-root");
            let foreign = Connection::to("ssh://me@example.com/run/podman.sock".to_owned());
            connections.insert("dev-root", foreign.clone());
            connections.insert("other", foreign);
            Ok(())
        })
        .unwrap();
        let planned = removed(&store, &file).await;
        assert_eq!(
            planned.paths[planned.paths.len() - 2..],
            [sockets.clone(), machine.files.directory().to_owned()]
        );
        assert!(planned.paths.contains(&machine.files.api_socket()));
        assert!(!sockets.exists() && !machine.files.directory().exists());
        assert!(neighbour.join("podman.sock").exists());
        let left = file.read().unwrap();
        let left: Vec<&str> = left.iter().map(|(name, _)| name).collect();
        assert_eq!(left, ["dev-root", "other"]);
        let entries = fs::read_dir(root.path()).unwrap();
        let mut entries: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.strip_suffix(".lock").is_none())
            .collect();
        entries.sort();
        assert_eq!(entries, ["connections.json", &"d".repeat(90), "s"]);
    }

    #[tokio::test]
    async fn a_foreign_file_in_the_place_of_the_sockets_stays() {
        let root = tempfile::tempdir().unwrap();
        let (store, machine, file) = scattered(root.path());
        let sockets = machine.files.outside().unwrap().to_owned();
        fs::remove_dir(&sockets).unwrap();
        fs::write(&sockets, "precious").unwrap();
        removed(&store, &file).await;
        assert!(!machine.files.directory().exists());
        assert_eq!(fs::read(&sockets).unwrap(), b"precious");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn links_are_removed_at_most_and_never_followed() {
        use std::os::unix::fs::symlink;
        let root = tempfile::tempdir().unwrap();
        let (store, machine, file) = scattered(root.path());
        let precious = root.path().join("precious");
        fs::create_dir(&precious).unwrap();
        fs::write(precious.join("file"), "").unwrap();
        symlink(&precious, machine.files.ssh_directory()).unwrap();
        symlink(&precious, machine.files.directory().join("link")).unwrap();
        let sockets = machine.files.outside().unwrap().to_owned();
        fs::remove_dir(&sockets).unwrap();
        symlink(&precious, &sockets).unwrap();
        removed(&store, &file).await;
        assert!(!machine.files.directory().exists());
        assert!(sockets.is_symlink(), "it is not ours");
        assert!(precious.join("file").exists());
    }

    #[tokio::test]
    async fn nothing_but_stopped_may_be_removed_without_force() {
        let bench = Bench::new();
        bench.make("dev");
        let planned = plan(&bench.store, "dev", false, stopped).unwrap();
        let statuses = [
            Status::Starting,
            Status::Running,
            Status::Degraded {
                reason: String::new(),
            },
            Status::Stopping,
            Status::Unmanaged,
            Status::Busy,
        ];
        for status in statuses {
            let probe = |_: &MachineFiles| status.clone();
            let text = "running vm \"dev\" cannot be destroyed";
            let error = plan(&bench.store, "dev", false, probe).unwrap_err();
            assert_eq!(error.to_string(), text, "{status:?}");
            assert!(error.hints()[0].contains("machine stop dev"));
            // Started while the user thought.
            let error = remove(
                &bench.store,
                &connections(&bench),
                &planned,
                false,
                probe,
                never,
            )
            .await
            .unwrap_err();
            assert_eq!(error.to_string(), text, "{status:?}");
        }
        assert!(bench.store.find("dev").is_ok());
    }

    #[tokio::test]
    async fn force_stops_first() {
        let bench = Bench::new();
        bench.make("dev");
        let status = Cell::new(Status::Running);
        let probe = |_: &MachineFiles| {
            let now = status.replace(Status::Stopped);
            status.set(now.clone());
            now
        };
        let planned = plan(&bench.store, "dev", true, probe).unwrap();
        let fails = async |_: &MachineFiles| Err(Stubborn);
        let error = remove(
            &bench.store,
            &connections(&bench),
            &planned,
            true,
            probe,
            fails,
        )
        .await
        .unwrap_err();
        assert!(matches!(error, RemoveError::Stop { .. }));
        assert_eq!(error.source().unwrap().to_string(), "It does not stop");

        let lies = async |_: &MachineFiles| Ok::<(), Stubborn>(());
        let error = remove(
            &bench.store,
            &connections(&bench),
            &planned,
            true,
            probe,
            lies,
        )
        .await
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "Machine `dev` is running after it was stopped, so it was not removed"
        );
        assert!(bench.store.find("dev").is_ok());

        let stops = async |_: &MachineFiles| {
            status.set(Status::Stopped);
            Ok::<(), Stubborn>(())
        };
        remove(
            &bench.store,
            &connections(&bench),
            &planned,
            true,
            probe,
            stops,
        )
        .await
        .unwrap();
        assert!(bench.store.names().unwrap().is_empty());
    }

    #[tokio::test]
    async fn an_unreadable_machine_goes_by_force() {
        let bench = Bench::new();
        for (text, content) in [("bad", "\u{0}"), ("newer", "format = \"2.0\"")] {
            let machine = bench.make(text);
            fs::write(machine.files.config(), content).unwrap();
            assert!(plan(&bench.store, text, false, stopped).is_err());
            let planned = plan(&bench.store, text, true, stopped).unwrap();
            assert_eq!(planned.files, machine.files);
            remove(
                &bench.store,
                &connections(&bench),
                &planned,
                true,
                stopped,
                never,
            )
            .await
            .unwrap();
        }
        assert!(bench.store.names().unwrap().is_empty());
    }

    fn with_data_disk(bench: &Bench, disk: Option<DataDisk>) -> MachineFiles {
        let machine = bench.make("dev");
        let guard = bench.store.edit(&machine.config.name).unwrap();
        let update = guard.update::<StoreError>(|config| {
            config.data_disk = disk;
            Ok(())
        });
        update.unwrap();
        machine.files
    }

    #[tokio::test]
    async fn the_data_disk_goes_or_is_kept() {
        let bench = Bench::new();
        for (round, kept) in [None, Some("dev.raw"), Some("dev-2.raw")]
            .into_iter()
            .enumerate()
        {
            let files = with_data_disk(&bench, Some(DataDisk::Own));
            fs::write(files.data_disk(), round.to_string()).unwrap();
            let mut planned = plan(&bench.store, "dev", false, stopped).unwrap();
            assert!(planned.paths.contains(&files.data_disk()));
            if kept.is_some() {
                planned = planned.keep_data().unwrap();
                assert!(!planned.paths.contains(&files.data_disk()));
            }
            let file = connections(&bench);
            let removed = remove(&bench.store, &file, &planned, false, stopped, never);
            let found = removed.await.unwrap().data_disk;
            let found = found.as_ref().map(|path| path.file_name().unwrap());
            assert_eq!(found, kept.map(std::ffi::OsStr::new));
            assert!(!files.directory().exists());
        }
        let disks = bench.directories().data.join("data-disks");
        assert_eq!(fs::read(disks.join("dev.raw")).unwrap(), b"1");
        assert_eq!(fs::read(disks.join("dev-2.raw")).unwrap(), b"2");
        assert_eq!(bench.hidden(), [""; 0]);
    }

    #[tokio::test]
    async fn a_file_of_the_users_stays_wherever_it_is() {
        let bench = Bench::new();
        let theirs = bench.root.path().join("theirs.raw");
        fs::write(&theirs, "x").unwrap();
        for keep in [false, true] {
            with_data_disk(&bench, Some(DataDisk::At(theirs.clone())));
            let mut planned = plan(&bench.store, "dev", false, stopped).unwrap();
            assert_eq!(planned.file_that_stays(), Some(&*theirs));
            if keep {
                planned = planned.keep_data().unwrap();
            }
            let file = connections(&bench);
            let removed = remove(&bench.store, &file, &planned, false, stopped, never);
            assert_eq!(removed.await.unwrap().data_disk, None);
            assert!(theirs.exists());
        }
        let files = with_data_disk(&bench, None);
        let planned = plan(&bench.store, "dev", false, stopped).unwrap();
        let error = planned.keep_data().unwrap_err();
        assert!(matches!(error, RemoveError::NoDataDisk { .. }), "{error}");
        let guard = bench.store.edit(&"dev".parse().unwrap()).unwrap();
        let update = guard.update::<StoreError>(|config| {
            config.data_disk = Some(DataDisk::At(files.directory().join("mine.raw")));
            Ok(())
        });
        update.unwrap();
        let error = plan(&bench.store, "dev", true, stopped).unwrap_err();
        assert!(
            matches!(error, RemoveError::DataDiskInside { .. }),
            "{error}"
        );
    }

    #[tokio::test]
    async fn the_disk_of_an_unreadable_machine_can_be_kept() {
        let bench = Bench::new();
        for has_disk in [false, true] {
            let files = bench.make("dev").files;
            fs::write(files.config(), "damaged").unwrap();
            if has_disk {
                fs::write(files.data_disk(), "x").unwrap();
            }
            let planned = plan(&bench.store, "dev", true, stopped).unwrap();
            let planned = planned.keep_data().unwrap();
            let file = connections(&bench);
            let removed = remove(&bench.store, &file, &planned, true, stopped, never);
            assert_eq!(removed.await.unwrap().data_disk.is_some(), has_disk);
        }
    }

    #[test]
    fn one_that_is_not_there_is_an_error_also_by_force() {
        let bench = Bench::new();
        for text in ["gone", "no name", "../../etc"] {
            let error = plan(&bench.store, text, true, stopped).unwrap_err();
            assert_eq!(error.to_string(), format!("{text}: VM does not exist"));
        }
    }
}
