//! Bad input and a hostile environment: each a clear error with exit code 125, and nothing lost.

use std::process::Command;

use libtest_mimic::Trial;

use crate::support::command::{begin, eventually, run};
use crate::support::home::{BOOT, Home, SOON};
use crate::support::shared::{self, NAME};
use crate::support::stage::Stage;
use crate::support::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("bad::unknown_machine", unknown_machine),
        trial("bad::names", names),
        trial("bad::existing_name", existing_name),
        trial("bad::an_image_that_is_not_one", not_an_image),
        trial("bad::sizes_beyond_the_host", sizes),
        trial("bad::a_full_disk_while_copying", full_disk),
        trial("bad::interrupting_init_leaves_nothing", interrupted_init),
        trial("bad::a_corrupt_machine_hides_no_other", corrupt_machine),
        trial("bad::usage", usage),
    ]
}

/// The error's first line, word for word, and that something follows that helps.
fn first_line(error: &str, expected: &str) {
    assert_eq!(error.lines().next(), Some(expected), "{error}");
}

fn unknown_machine() {
    let home = Home::new("unknown");
    for arguments in [
        &["start", "nobody"][..],
        &["stop", "nobody"],
        &["rm", "-f", "nobody"],
        &["inspect", "nobody"],
    ] {
        first_line(
            &home.machine(arguments, SOON).failed(),
            "Error: nobody: VM does not exist",
        );
    }
    assert_eq!(
        home.machine(&["inspect", "nobody"], SOON).text().trim(),
        "[]"
    );
}

fn names() {
    let home = Home::new("names");
    let image = Stage::get().guest_image();
    let image = image.to_str().expect("text");
    let long = "a".repeat(31);
    let cases = [
        (
            "-x",
            "invalid name \"-x\": names must match [a-zA-Z0-9][a-zA-Z0-9_.-]*: invalid argument",
        ),
        (
            "a/b",
            "invalid name \"a/b\": names must match [a-zA-Z0-9][a-zA-Z0-9_.-]*: invalid argument",
        ),
        ("QEMU", "cannot use \"QEMU\" for a machine name"),
        (
            &long,
            &format!("machine name \"{long}\" must be 30 characters or less"),
        ),
    ];
    for (name, expected) in cases {
        let error = home
            .machine(&["init", "--image", image, "--", name], SOON)
            .failed();
        first_line(&error, &format!("Error: {expected}"));
    }
}

fn existing_name() {
    shared::with(|home, _| {
        let image = Stage::get().guest_image();
        let error = home
            .machine(
                &["init", "--image", image.to_str().expect("text"), NAME],
                SOON,
            )
            .failed();
        first_line(&error, "Error: machine \"shared\" already exists");
        assert_eq!(home.state(NAME), "running");
    });
}

fn not_an_image() {
    let home = Home::new("noimage");
    let text = home.path().join("notes.txt");
    fs_err::write(&text, "this is no disk\n".repeat(100)).expect("a file can be written");
    let broken = home.path().join("broken.qcow2");
    fs_err::write(&broken, b"QFI\xfb\0\0\0\x03 and nothing").expect("a file can be written");
    for path in [
        text,
        broken,
        home.path().join("missing.qcow2"),
        home.path().to_owned(),
    ] {
        let error = home
            .machine(
                &["init", "--image", path.to_str().expect("text"), "x"],
                SOON,
            )
            .failed();
        assert!(
            error.contains(path.to_str().expect("text")),
            "the file is named: {error}"
        );
        assert!(!home.machine_dir("x").exists());
    }
}

fn sizes() {
    let home = Home::new("sizes");
    let image = Stage::get().guest_image();
    let image = image.to_str().expect("text");
    let error = home
        .machine(
            &["init", "--image", image, "--memory", "99999999", "x"],
            SOON,
        )
        .failed();
    assert!(
        error.starts_with(
            "Error: requested amount of memory (99999999 MB) greater than total system memory ("
        ),
        "{error}"
    );
    let error = home
        .machine(&["init", "--image", image, "--cpus", "999", "x"], SOON)
        .failed();
    assert!(
        error.starts_with(
            "Error: requested number of CPUs (999) greater than number of host CPUs ("
        ),
        "{error}"
    );
    assert!(
        home.machine(&["list", "--quiet", "--noheading"], SOON)
            .text()
            .is_empty()
    );
}

fn full_disk() {
    let home = Home::new("full");
    let image = Stage::get().guest_image();
    let image = image.to_str().expect("text");
    // A file system of 50 MiB, as an ordinary user may mount one in a namespace of his own.
    let script = "mount -t tmpfs -o size=50m tmpfs \"$MACHINE_HOME\" || exit 1
        \"$0\" init --image \"$1\" x; code=$?
        left=$(ls -A \"$MACHINE_HOME/data/machines\" | grep -v '^\\.lock$')
        [ -z \"$left\" ] || echo \"left: $left\" >&2
        exit $code";
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]);
    let inner = home.command(&[]);
    command.env_clear().envs(
        inner
            .get_envs()
            .filter_map(|(key, value)| Some((key, value?))),
    );
    command.arg(inner.get_program()).arg(image);
    let error = run(&mut command, b"", BOOT).failed();
    assert!(
        error.contains("disk.qcow2") && error.contains("hint: "),
        "{error}"
    );
    assert!(!error.contains("left: "), "{error}");
    // Nothing is broken by it.
    home.init("x", &[]);
}

/// How much there is in a directory, which may be missing.
fn entries(directory: &std::path::Path) -> usize {
    let found = fs_err::read_dir(directory).map(|found| found.flatten().collect());
    let found: Vec<_> = found.unwrap_or_default();
    found
        .iter()
        .filter(|entry| entry.file_name() != ".lock")
        .count()
}

fn interrupted_init() {
    let home = Home::new("cancel");
    let image = Stage::get().guest_image();
    let machines = home.path().join("data/machines");
    let init = begin(
        &mut home.command(&["init", "--image", image.to_str().expect("text"), "x"]),
        b"",
    );
    let pid = init.child.id().to_string();
    // As soon as something is there; a copy that is quicker than the signal is a machine, whole and listed.
    eventually("init has begun", SOON, || {
        (entries(&machines) > 0).then_some(())
    });
    let sent = Command::new("kill")
        .args(["-INT", &pid])
        .status()
        .expect("kill runs");
    let ended = init.finish(SOON);
    if sent.success() && !ended.status.success() {
        assert_eq!(ended.status.code(), Some(125), "{}", ended.stderr);
        assert!(ended.stderr.contains("cancelled"), "{}", ended.stderr);
        assert_eq!(entries(&machines), 0);
        home.init("x", &[]);
    }
    assert_eq!(home.state("x"), "stopped");
}

fn corrupt_machine() {
    let home = Home::new("corrupt");
    home.init("good", &[]);
    home.init("bad", &[]);
    fs_err::write(home.machine_dir("bad").join("machine.toml"), "name = [")
        .expect("a file can be written");
    let listed = home.machine(&["list", "--quiet", "--noheading"], SOON);
    assert!(
        listed.stderr.contains("bad") && listed.stderr.contains("machine.toml"),
        "{}",
        listed.stderr
    );
    assert!(listed.succeeded().contains("good"));
    let error = home.machine(&["start", "bad"], SOON).failed();
    assert!(error.contains("machine.toml"), "{error}");
    home.machine(&["rm", "--force", "bad"], SOON).succeeded();
    assert!(!home.machine_dir("bad").exists());
}

fn usage() {
    let home = Home::new("usage");
    first_line(
        &home.machine(&["frobnicate"], SOON).failed(),
        "Error: unrecognized command `machine frobnicate`",
    );
    let error = home.machine(&["start", "--frobnicate"], SOON).failed();
    assert!(
        error.starts_with("Error: ") && error.contains("See 'machine start --help'"),
        "{error}"
    );
    let nothing = home.machine(&[], SOON);
    assert!(nothing.text().contains("Usage:"), "{}", nothing.text());
    assert!(
        nothing
            .failed()
            .starts_with("Error: missing command 'machine COMMAND'")
    );
    assert!(
        home.machine(&["--version"], SOON)
            .succeeded()
            .trim()
            .ends_with(env!("CARGO_PKG_VERSION"))
    );
}
