//! Tests of removals.

use std::cell::Cell;

use machine_host::directories::Directories;
use thiserror::Error;

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
