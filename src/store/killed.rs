//! Tests that kill the program at each step of making and removing a machine.
//!
//! The killed program is this test program, started again for the one test [`child`], told by the environment what to
//! do and where to stop. It stops there by closing its standard output and waiting to be killed.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

use super::Leftover;
use super::testing::{Bench, config, make, name, open};
use crate::machine::DiskFormat;

const STEP: &str = "MACHINE_TEST_STOP_AT";
const ROOT: &str = "MACHINE_TEST_ROOT";
const ACTION: &str = "MACHINE_TEST_ACTION";
const LONG: &str = "MACHINE_TEST_LONG";

/// Called by the store between its steps.
pub(super) fn pause(step: &str) {
    if std::env::var(STEP).is_ok_and(|wanted| wanted == step) {
        let mut output = std::io::stdout().lock();
        writeln!(output, "stopped at {step}").unwrap();
        output.flush().unwrap();
        // The parent holds the other end open until it has killed us.
        std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        panic!("not killed");
    }
}

fn store_for(root: &std::path::Path, long: bool) -> super::Store {
    let mut store = open(root);
    if long {
        store.places.machines = root.join("d".repeat(90)).join("machines");
    }
    store
}

/// What the child runs. Without a task, in the ordinary run of the tests, there is nothing for it to do.
#[test]
fn child() {
    let Some(root) = std::env::var_os(ROOT) else {
        return;
    };
    let store = store_for(root.as_ref(), std::env::var_os(LONG).is_some());
    match std::env::var(ACTION).unwrap().as_str() {
        "make" => {
            let draft = store.begin(&name("dev")).unwrap();
            draft
                .write_private(&draft.files().secret(), b"secret")
                .unwrap();
            fs_err::write(draft.files().os_disk(DiskFormat::Qcow2), "disk").unwrap();
            pause("disk");
            let sockets = draft.sockets().display().to_string();
            draft.commit(&config("dev", &sockets)).unwrap();
        }
        "remove" => store.edit(&name("dev")).unwrap().remove().unwrap(),
        "remove-but-data" => {
            let guard = store.edit(&name("dev")).unwrap();
            guard.remove_but_data().unwrap();
        }
        "recreate" => {
            let guard = store.edit(&name("dev")).unwrap();
            let stopped = guard.keep_stopped().unwrap().unwrap();
            let next = guard.files().of_generation(1);
            fs_err::write(next.os_disk(DiskFormat::Raw), "new").unwrap();
            pause("new-disk");
            let update = guard.update::<super::StoreError>(|config| {
                config.generation = 1;
                config.disk = DiskFormat::Raw;
                Ok(())
            });
            update.unwrap();
            pause("switched");
            guard.clear_other_disks(&stopped);
        }
        other => panic!("unknown action {other}"),
    }
}

/// Starts the child and returns when it has come to the step.
fn stopped(bench: &Bench, action: &str, step: &str, long: bool) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "store::killed::child", "--nocapture"])
        .env(ROOT, bench.root.path())
        .env(ACTION, action)
        .env(STEP, step)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    if long {
        command.env(LONG, "1");
    }
    let mut child = command.spawn().unwrap();
    let mut output = child.stdout.take().unwrap();
    let expected = format!("stopped at {step}");
    let mut seen = String::new();
    let mut buffer = [0; 256];
    while !seen.contains(&expected) {
        let length = output.read(&mut buffer).unwrap();
        assert!(length > 0, "the child never came to `{step}`: {seen}");
        seen += &String::from_utf8_lossy(&buffer[..length]);
    }
    child
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn killed_while_making_it_leaves_no_machine_and_the_next_try_succeeds() {
    for step in ["locked", "directory", "disk", "complete", "sockets"] {
        for long in [false, true] {
            let bench = Bench::new();
            let store = store_for(bench.root.path(), long);
            kill(stopped(&bench, "make", step, long));
            assert!(store.list().unwrap().is_empty(), "{step}: half a machine");
            let machine = make(&store, "dev");
            assert_eq!(store.load(&name("dev")).unwrap(), machine, "{step}");
            let bench = Bench { store, ..bench };
            assert_eq!(bench.hidden(), [""; 0], "{step}: something is left");
        }
    }
}

#[test]
fn killed_after_the_rename_leaves_a_complete_machine() {
    let bench = Bench::new();
    kill(stopped(&bench, "make", "renamed", false));
    let machine = bench.store.load(&name("dev")).unwrap();
    assert_eq!(fs_err::read(machine.files.secret()).unwrap(), b"secret");
    bench.make("other");
    assert_eq!(bench.hidden(), [""; 0]);
    bench.store.edit(&name("dev")).unwrap().remove().unwrap();
}

#[test]
fn leftovers_of_another_machine_are_cleared_away_with_their_sockets() {
    let bench = Bench::new();
    kill(stopped(&bench, "make", "sockets", true));
    let store = store_for(bench.root.path(), true);
    let short = store.places.short_sockets(&name("dev"));
    assert!(short.is_dir());
    make(&store, "other");
    assert!(!short.exists());
}

#[test]
fn leftovers_are_told_and_cleared_away_on_request() {
    let bench = Bench::new();
    assert_eq!(bench.store.leftovers().unwrap(), Some(Vec::new()));
    bench.store.clear_leftovers().unwrap();
    assert!(!bench.store.directory().exists(), "a look makes nothing");
    bench.make("other");
    // Alive: no leftover, and not to be cleared away.
    let child = stopped(&bench, "make", "disk", false);
    assert_eq!(bench.store.leftovers().unwrap(), Some(Vec::new()));
    bench.store.clear_leftovers().unwrap();
    assert_eq!(bench.hidden().len(), 2);
    kill(child);
    let unmade = Leftover::Unmade(name("dev"));
    assert_eq!(bench.store.leftovers().unwrap(), Some(vec![unmade]));
    assert_eq!(bench.hidden().len(), 2, "a look clears nothing away");
    {
        let _lock = bench.store.lock().unwrap();
        assert_eq!(bench.store.leftovers().unwrap(), None);
    }
    bench.store.clear_leftovers().unwrap();
    assert_eq!(bench.hidden(), [""; 0]);

    bench.make("dev");
    kill(stopped(&bench, "remove", "removed", false));
    let removed = Leftover::Removed(name("dev"));
    assert_eq!(bench.store.leftovers().unwrap(), Some(vec![removed]));
    bench.store.clear_leftovers().unwrap();
    assert_eq!(bench.store.leftovers().unwrap(), Some(Vec::new()));
    assert_eq!(bench.hidden(), [""; 0]);
    assert!(bench.store.find("other").is_ok());
}

#[test]
fn one_that_is_being_made_is_not_taken_for_a_leftover() {
    let bench = Bench::new();
    let mut child = stopped(&bench, "make", "disk", false);
    bench.make("other");
    assert_eq!(bench.hidden().len(), 2);
    let error = bench.store.begin(&name("dev")).unwrap_err();
    assert_eq!(error.to_string(), "machine \"dev\" already exists");
    assert!(child.try_wait().unwrap().is_none());
    kill(child);
    bench.make("dev");
}

#[test]
fn killed_while_removing_it_leaves_a_whole_machine_or_none() {
    let bench = Bench::new();
    bench.make("dev");
    kill(stopped(&bench, "remove", "removing", false));
    assert!(bench.store.find("dev").is_ok());
    kill(stopped(&bench, "remove", "removed", false));
    assert!(bench.store.names().unwrap().is_empty());
    assert_eq!(bench.hidden().len(), 1);
    bench.make("dev");
    assert_eq!(bench.hidden(), [""; 0]);
}

#[test]
fn killed_while_keeping_the_data_leaves_a_whole_machine_or_the_disk_in_its_place() {
    let bench = Bench::new();
    let places = bench.store.places.data_disks.clone();
    let kept = |file: &str| fs_err::read_to_string(places.join(file));
    for (round, step) in ["removing", "removed", "kept"].into_iter().enumerate() {
        let machine = bench.make("dev");
        let content = format!("data {round}");
        fs_err::write(machine.files.data_disk(), &content).unwrap();
        kill(stopped(&bench, "remove-but-data", step, false));
        let expected = ["dev.raw", "dev-2.raw", "dev-3.raw"][round];
        if step == "removing" {
            assert_eq!(
                fs_err::read_to_string(machine.files.data_disk()).unwrap(),
                content
            );
            let guard = bench.store.edit(&name("dev")).unwrap();
            let path = guard.remove_but_data().unwrap();
            assert_eq!(path, Some(places.join(expected)));
        } else {
            assert!(bench.store.names().unwrap().is_empty());
            let left = bench.store.leftovers().unwrap();
            assert_eq!(left, Some(vec![Leftover::Removed(name("dev"))]));
            bench.store.clear_leftovers().unwrap();
        }
        assert_eq!(kept(expected).unwrap(), content, "{step}");
        assert_eq!(bench.hidden(), [""; 0], "{step}");
    }
    assert_eq!(
        fs_err::read_dir(&places).unwrap().count(),
        3,
        "none was replaced"
    );
}

#[test]
fn killed_while_getting_another_disk_leaves_the_old_or_the_new_one() {
    for step in ["new-disk", "switched"] {
        let bench = Bench::new();
        let old = bench.make("dev").files.os_disk(DiskFormat::Qcow2);
        kill(stopped(&bench, "recreate", step, false));
        let machine = bench.store.load(&name("dev")).unwrap();
        let disk = machine.files.os_disk(machine.config.disk);
        let (generation, content) = match step {
            "new-disk" => (0, "disk"),
            _ => (1, "new"),
        };
        assert_eq!(machine.config.generation, generation);
        assert_eq!(fs_err::read_to_string(&disk).unwrap(), content, "{step}");
        let other = [old, machine.files.of_generation(1).os_disk(DiskFormat::Raw)];
        assert!(other.iter().all(|disk| disk.exists()), "{step}");
        let guard = bench.store.edit(&name("dev")).unwrap();
        guard.keep_stopped().unwrap().unwrap();
        let left: Vec<_> = other.iter().filter(|disk| disk.exists()).collect();
        assert_eq!(left, [&disk], "{step}");
    }
}
