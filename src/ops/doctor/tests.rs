//! Faults that are planted in real directories.

mod facts;
mod lost;
mod room;
#[cfg(unix)]
mod unix;

use machine_host::local_socket;
use machine_host::lock::FileLock;
use machine_host::process::ProcessIdentity;

use super::host::NetworkFacts;
use super::look::{FileState, SmallFile};
use super::*;
use crate::connection::Connections;
use crate::connection::machine as pair;
use crate::connection::machine::Scheme;
use crate::machine::{DiskFormat, Status};
use crate::store::StoredMachine;
use crate::store::testing::{Bench, config, name};

/// A home with machines, and the doctor in it.
struct Home {
    bench: Bench,
    premises: Premises,
}

impl Home {
    fn new() -> Self {
        let bench = Bench::new();
        let premises = Premises {
            directories: bench.directories(),
            store: bench.store.clone(),
            connections: ConnectionsFile::at(bench.root.path().join("c.json")),
            hostconf: HostConf::in_directory(bench.root.path()),
        };
        Self { bench, premises }
    }

    /// A machine with all that it needs: a blank disk, its small files, its pair of connections.
    fn make(&self, text: &str) -> StoredMachine {
        self.bench.make(text);
        let change = |config: &mut crate::machine::MachineConfig| {
            config.disk = DiskFormat::Raw;
            config.resources.disk_gib = 1;
            Ok::<(), StoreError>(())
        };
        let guard = self.bench.store.edit(&name(text)).unwrap();
        guard.update(change).unwrap();
        let machine = self.bench.store.load(&name(text)).unwrap();
        let files = &machine.files;
        fs_err::create_dir(files.ssh_directory()).unwrap();
        for small in SmallFile::ALL {
            if small != SmallFile::Config {
                let private = machine_host::atomic::Access::Private;
                machine_host::atomic::write(&small.path(files), b"x", private).unwrap();
            }
        }
        fs_err::write(files.os_disk(DiskFormat::Raw), "").unwrap();
        let connections = &self.premises.connections;
        pair::add(connections, &machine.config, files, Scheme::Ssh, None).unwrap();
        machine
    }

    async fn found(&self, fix: bool) -> Vec<Finding> {
        Box::pin(examine(&self.premises, &[], fix)).await.unwrap()
    }

    /// The codes of what is wrong with the machine, and whether `--fix` would mend it.
    async fn wrong(&self, machine: &str) -> Vec<(&'static str, bool)> {
        let about = About::Machine(name(machine));
        let found = self.found(false).await.into_iter();
        let wrong = found.filter(|one| one.about == about && one.severity != Severity::Ok);
        wrong
            .map(|one| (one.code, matches!(one.mending, Mending::Offered(_))))
            .collect()
    }
}

/// Those of a code.
fn of<'a>(findings: &'a [Finding], code: &str) -> Vec<&'a Finding> {
    findings.iter().filter(|one| one.code == code).collect()
}

/// The only one of a code.
fn only<'a>(findings: &'a [Finding], code: &str) -> &'a Finding {
    match of(findings, code)[..] {
        [one] => one,
        _ => panic!("{code}: {findings:#?}"),
    }
}

#[tokio::test]
async fn whole_machines_that_are_stopped_are_well() {
    let home = Home::new();
    assert_eq!(of(&home.found(false).await, "status"), [] as [&Finding; 0]);
    home.make("a");
    home.make("b");
    for machine in ["a", "b"] {
        assert_eq!(home.wrong(machine).await, []);
    }
    let found = home.found(true).await;
    assert_eq!(of(&found, "status").len(), 2);
    assert!(
        found.iter().all(|one| one.mending == Mending::ByHand),
        "{found:#?}"
    );
    let machine = home.bench.store.load(&name("a")).unwrap();
    assert!(!machine.files.run_lock().exists(), "a look makes no file");
}

#[tokio::test]
async fn each_planted_fault_is_named_and_hides_no_other() {
    type Plant = fn(&StoredMachine);
    let cases: [(Plant, &[(&str, bool)]); 11] = [
        (
            |machine| fs_err::write(machine.files.config(), "format = 1").unwrap(),
            &[("unreadable", false)],
        ),
        (
            |machine| fs_err::remove_file(machine.files.config()).unwrap(),
            &[("unreadable", false)],
        ),
        (
            |machine| {
                fs_err::remove_file(machine.files.config()).unwrap();
                fs_err::create_dir(machine.files.config()).unwrap();
            },
            &[("unreadable", false)],
        ),
        (
            |machine| fs_err::remove_file(machine.files.secret()).unwrap(),
            &[("missing-file", true)],
        ),
        (
            |machine| fs_err::remove_file(machine.files.ssh_client_key()).unwrap(),
            &[("missing-file", false)],
        ),
        // Nothing is left to make it of.
        (
            |machine| {
                fs_err::remove_file(machine.files.known_hosts()).unwrap();
                fs_err::remove_file(machine.files.ssh_host_key()).unwrap();
            },
            &[("missing-file", false)],
        ),
        (
            |machine| {
                fs_err::remove_file(machine.files.ignition()).unwrap();
                fs_err::remove_file(machine.files.ssh_host_key()).unwrap();
            },
            &[("missing-file", false)],
        ),
        (
            |machine| {
                fs_err::remove_file(machine.files.ignition()).unwrap();
                fs_err::create_dir(machine.files.ignition()).unwrap();
            },
            &[("not-a-file", false)],
        ),
        (
            |machine| fs_err::remove_file(machine.files.os_disk(DiskFormat::Raw)).unwrap(),
            &[("disk", false)],
        ),
        (
            |machine| {
                fs_err::remove_file(machine.files.os_disk(DiskFormat::Raw)).unwrap();
                fs_err::create_dir(machine.files.os_disk(DiskFormat::Raw)).unwrap();
            },
            &[("disk", false)],
        ),
        // Neither is needed after the first boot, or before the next one.
        (
            |machine| {
                fs_err::remove_file(machine.files.ssh_host_key()).unwrap();
                fs_err::remove_file(machine.files.seed()).unwrap();
            },
            &[],
        ),
    ];
    let home = Home::new();
    home.make("well");
    for (number, (plant, expected)) in cases.iter().enumerate() {
        let text = format!("m{number}");
        plant(&home.make(&text));
        assert_eq!(home.wrong(&text).await, *expected, "{number}");
    }
    assert_eq!(home.wrong("well").await, []);
}

#[tokio::test]
async fn connections_are_completed_and_corrected() {
    let home = Home::new();
    home.make("m");
    let edit = |change: &dyn Fn(&mut Connections)| {
        let edited = home.premises.connections.edit(|connections| {
            change(connections);
            Ok(())
        });
        edited.unwrap();
    };
    edit(&|connections| {
        connections.remove("m-root");
        let uri = &mut connections.get_mut("m").unwrap().uri;
        *uri = uri.replace(":41913/", ":1/");
    });
    let expected = [("connection-missing", true), ("connection-port", true)];
    assert_eq!(home.wrong("m").await, expected);
    let found = home.found(true).await;
    let done = Mending::Done("added `m-root`".to_owned());
    assert_eq!(only(&found, "connection-missing").mending, done);
    assert!(
        !found
            .iter()
            .any(|one| one.about != About::Host && one.is_open_problem())
    );
    assert_eq!(home.wrong("m").await, []);
    let connections = home.premises.connections.read().unwrap();
    assert!(connections.get("m").unwrap().uri.contains(":41913/"));

    // One of somebody else's stays, and is not mended.
    edit(&|connections| {
        connections.get_mut("m").unwrap().identity = "/another/key".to_owned();
    });
    assert_eq!(home.wrong("m").await, [("connection-foreign", false)]);
    let found = home.found(true).await;
    assert!(only(&found, "connection-foreign").is_open_problem());

    // What they are like is not known: nothing is guessed.
    edit(&|connections| {
        connections.remove_all();
    });
    let own = home.bench.root.path().join("config.toml");
    fs_err::write(&own, "conection_scheme = \"socket\"").unwrap();
    let found = home.found(true).await;
    assert!(only(&found, "connection-missing").is_open_problem());
    assert_eq!(only(&found, "connection-missing").mending, Mending::ByHand);
    let config = only(&found, "config");
    assert!(config.what.contains("line 1"), "{config:?}");
    fs_err::write(&own, "connection_scheme = \"socket\"").unwrap();
    home.found(true).await;
    let connections = home.premises.connections.read().unwrap();
    assert!(connections.get("m").unwrap().uri.starts_with("unix://"));
}

#[tokio::test]
async fn what_killed_commands_left_is_cleared_away() {
    let home = Home::new();
    home.make("m");
    let machines = home.bench.store.directory().to_owned();
    let left = machines.join(".x.new-0123456789abcdef");
    fs_err::create_dir(&left).unwrap();
    fs_err::write(left.join("disk.raw"), "").unwrap();
    let foreign = machines.join(".notes");
    fs_err::write(&foreign, "").unwrap();
    let gone = machines.join("gone");
    let sockets = gone.display().to_string();
    let files = crate::store::MachineFiles::new(gone.clone(), gone);
    let connections = &home.premises.connections;
    pair::add(
        connections,
        &config("gone", &sockets),
        &files,
        Scheme::Ssh,
        None,
    )
    .unwrap();

    let found = home.found(false).await;
    let leftovers = only(&found, "leftovers");
    assert_eq!(leftovers.what, "Commands were interrupted: an `init` of x");
    assert_eq!(leftovers.hints, ["machine doctor --fix"]);
    assert!(!leftovers.is_open_problem(), "it is in nobody's way");
    let orphans = only(&found, "orphaned-connections");
    assert!(
        orphans.what.ends_with(": `gone`, `gone-root`"),
        "{orphans:?}"
    );
    assert!(left.exists(), "a look clears nothing away");

    let found = home.found(true).await;
    for code in ["leftovers", "orphaned-connections"] {
        let one = only(&found, code);
        assert!(matches!(one.mending, Mending::Done(_)), "{one:?}");
    }
    assert!(!left.exists() && foreign.exists());
    let found = home.found(false).await;
    assert_eq!(
        of(&found, "leftovers").len() + of(&found, "orphaned-connections").len(),
        0
    );
    assert_eq!(home.wrong("m").await, []);
}

#[tokio::test]
async fn a_lock_that_is_held_without_an_answer() {
    let home = Home::new();
    let machine = home.make("m");
    let held = FileLock::try_acquire(&machine.files.run_lock())
        .unwrap()
        .unwrap();
    assert_eq!(home.wrong("m").await, [("locked", false)]);
    drop(held);
    assert_eq!(home.wrong("m").await, []);
    // Another command is at the machine's files, and may have the lock for that.
    let _edit = FileLock::try_acquire(&machine.files.edit_lock())
        .unwrap()
        .unwrap();
    let _run = FileLock::try_acquire(&machine.files.run_lock())
        .unwrap()
        .unwrap();
    assert_eq!(home.wrong("m").await, []);
}

#[tokio::test]
async fn a_virtual_machine_without_a_supervisor_and_a_supervisor_without_words() {
    let home = Home::new();
    let machine = home.make("m");
    // Nothing of a machine that may run is taken for the rest of a dead one.
    let process = serde_json::to_value(ProcessIdentity::current().unwrap()).unwrap();
    let record = serde_json::json!({ "process": process, "build": "1" });
    fs_err::write(machine.files.vm_record(), record.to_string()).unwrap();
    assert_eq!(home.wrong("m").await, [("unmanaged", false)]);
    fs_err::remove_file(machine.files.vm_record()).unwrap();
    let _listener = local_socket::bind(&machine.files.control_socket()).unwrap();
    assert_eq!(home.wrong("m").await, [("busy", false)]);
}

#[test]
fn machines_are_named_once_and_must_be_there() {
    let all = || vec![name("a"), name("b")];
    assert_eq!(chosen(&[], all()).unwrap(), all());
    assert_eq!(chosen(&["b", "b"], all()).unwrap(), [name("b")]);
    let error = chosen(&["b", "../x"], all()).unwrap_err();
    assert_eq!(error.to_string(), "../x: VM does not exist");
}
