//! Both programs on one connections file: in turn, and at the same time.

use std::collections::BTreeSet;
use std::time::Duration;

use libtest_mimic::Trial;
use machine_host::record_lock::RecordLock;

use super::compare::{Program, Twins, words};
use crate::support::command::{begin, run};
use crate::support::home::{BOOT, SOON};
use crate::support::stage::Stage;
use crate::support::trial;

/// Changes of each program at the same time.
const EACH: usize = 20;

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("same_as_podman::one_file_in_turn", in_turn),
        trial(
            "same_as_podman::one_file_at_the_same_time",
            at_the_same_time,
        ),
        trial("same_as_podman::a_held_lock_is_an_error", held_lock),
        trial("same_as_podman::a_machine_has_its_pair", pair),
        trial("same_as_podman::killed_commands_block_no_name", killed),
        trial("same_as_podman::a_host_is_asked_by_ssh", asked_host),
    ]
}

fn in_turn() {
    let twins = Twins::new("turn", &[]);
    let file = twins.file(Program::Machine);
    let ran = |program, line: &str| {
        run(&mut twins.command(program, &file, &words(line)), b"", SOON).succeeded()
    };
    let (podman, machine) = (Program::Podman, Program::Machine);
    ran(machine, "system connection add a tcp://a:1");
    ran(podman, "system connection add b ssh://me@b/p");
    ran(machine, "system connection rename b c");
    ran(podman, "system connection default c");
    ran(machine, "system connection add -f farm d tcp://d:1");
    ran(podman, "system connection remove a");
    for line in [
        "system connection list",
        "system connection list --format json",
    ] {
        let listed = ran(podman, line);
        assert_eq!(listed, ran(machine, line));
        assert!(listed.contains("tcp://d:1"), "{listed}");
    }
    let before = fs_err::read_to_string(&file).expect("the file is there");
    // Each writes what the other has written, to the byte.
    for program in [podman, machine] {
        ran(program, "system connection add e tcp://e:1");
        ran(program, "system connection remove e");
        assert_eq!(
            fs_err::read_to_string(&file).expect("the file is there"),
            before
        );
    }
}

fn at_the_same_time() {
    let twins = Twins::new("parallel", &[]);
    let file = twins.file(Program::Machine);
    let running: Vec<_> = (0..EACH)
        .flat_map(|number| {
            [(Program::Podman, "p"), (Program::Machine, "m")].map(|(program, letter)| {
                let line = format!(
                    "system connection add {letter}{number} tcp://h:{}",
                    number + 1
                );
                begin(&mut twins.command(program, &file, &words(&line)), b"")
            })
        })
        .collect();
    for command in running {
        command.finish(BOOT).succeeded();
    }
    let expected: BTreeSet<String> = (0..EACH)
        .flat_map(|number| [format!("p{number}"), format!("m{number}")])
        .collect();
    for program in [Program::Podman, Program::Machine] {
        let mut list = twins.command(program, &file, &words("system connection list -q"));
        let listed = run(&mut list, b"", SOON).succeeded();
        let found: BTreeSet<String> = listed.lines().map(str::to_owned).collect();
        assert_eq!(found, expected, "{program:?}");
    }
}

fn held_lock() {
    let twins = Twins::new("held", &[]);
    let file = twins.file(Program::Machine);
    let lock = file.with_file_name("connections.json.lock");
    let held = RecordLock::acquire(&lock, Duration::from_secs(1)).expect("nobody else has it");
    let line = words("system connection add a tcp://h:1");
    let error = run(
        &mut twins.command(Program::Machine, &file, &line),
        b"",
        SOON,
    )
    .failed();
    assert!(error.contains("is in use by another program"), "{error}");
    assert!(error.contains("hint: "), "{error}");
    let list = words("system connection list");
    run(
        &mut twins.command(Program::Machine, &file, &list),
        b"",
        SOON,
    )
    .succeeded();
    drop(held);
    run(
        &mut twins.command(Program::Machine, &file, &line),
        b"",
        SOON,
    )
    .succeeded();
}

/// What a machine puts into the file, as podman reads it.
fn pair() {
    let twins = Twins::new("pair", &[]);
    let file = twins.file(Program::Machine);
    let ran = |program, line: &str| {
        run(&mut twins.command(program, &file, &words(line)), b"", BOOT).succeeded()
    };
    let image = Stage::get().guest_image();
    let image = image.to_str().expect("the stage's path is text");
    let init = |name: &str, more: &str| {
        format!("init --image {image} --cpus 1 -m 512 --disk-size 8 {more} {name}")
    };
    ran(Program::Machine, &init("one", ""));
    ran(Program::Machine, &init("two", "--rootful"));
    let format = "'{{.Name}} {{.URI}} {{.IsMachine}} {{.Default}}'";
    let listed = ran(
        Program::Podman,
        &format!("system connection list --format {format}"),
    );
    let port = |name: &str| {
        ran(
            Program::Machine,
            &format!("inspect --format '{{{{.SSHConfig.Port}}}}' {name}"),
        )
    };
    let (one, two) = (port("one"), port("two"));
    assert_ne!(one, two);
    // The user that runs this, or 1000 for root.
    let uid = match machine_host::facts::user_id() {
        0 => 1000,
        uid => uid,
    };
    let both = |name: &str, port: &str, default: bool| {
        format!(
            "{name} ssh://core@127.0.0.1:{port}/run/user/{uid}/podman/podman.sock true {default}\n\
             {name}-root ssh://root@127.0.0.1:{port}/run/podman/podman.sock true false\n"
        )
    };
    let expected = both("one", one.trim(), true) + &both("two", two.trim(), false);
    assert_eq!(listed, expected);
    assert_eq!(ran(Program::Machine, "list -q"), "one*\ntwo\n");

    // Both refuse the name of a connection.
    ran(
        Program::Podman,
        "system connection add three-root tcp://h:1",
    );
    let taken = run(
        &mut twins.command(Program::Machine, &file, &words(&init("three", ""))),
        b"",
        SOON,
    );
    let error = taken.failed();
    assert!(
        error.starts_with("Error: system connection \"three-root\" already exists. "),
        "{error}"
    );

    ran(Program::Podman, "system connection default two");
    assert_eq!(ran(Program::Machine, "list -q"), "one\ntwo*\n");
    ran(Program::Podman, "system connection remove two-root");
    ran(Program::Machine, "rm -f two");
    ran(Program::Machine, "rm -f one");
    let left = ran(
        Program::Podman,
        &format!("system connection list --format {format}"),
    );
    assert_eq!(left, "three-root tcp://h:1 false false\n");
}

/// Commands killed at any time: the name, and the names of its connections, can be used again.
fn killed() {
    let twins = Twins::new("killed", &[("empty", "")]);
    let file = twins.file(Program::Machine);
    let command = |line: &str| twins.command(Program::Machine, &file, &words(line));
    let init = "init --image empty --cpus 1 -m 512 --disk-size 1 vm";
    let connections = || {
        let listed = run(&mut command("system connection list -q"), b"", SOON).succeeded();
        listed.lines().count()
    };
    for round in 0..24 {
        // In steps of 5 ms over the whole life of a command.
        let patience = Duration::from_millis(5 * (round / 2));
        for line in [init, "rm -f vm"] {
            let mut killed = begin(&mut command(line), b"");
            std::thread::park_timeout(patience);
            // One that has ended already cannot be killed.
            let _ = killed.child.kill();
            killed.finish(SOON);
            if line == init {
                // There is a machine, or there is none and can be one.
                let again = run(&mut command(init), b"", SOON);
                assert!(
                    again.status.success()
                        || again.stderr.contains("machine \"vm\" already exists"),
                    "round {round}: {}",
                    again.stderr
                );
            }
        }
        let gone = run(&mut command("rm -f vm"), b"", SOON);
        assert!(
            gone.status.success() || gone.stderr.contains("VM does not exist"),
            "round {round}: {}",
            gone.stderr
        );
        run(&mut command(init), b"", SOON).succeeded();
        assert_eq!(connections(), 2, "round {round}");
        run(&mut command("rm -f vm"), b"", SOON).succeeded();
        assert_eq!(connections(), 0, "round {round}");
    }
}

/// A host whose socket is not named, with a stand-in for `ssh` that notes its arguments.
fn asked_host() {
    let ssh = "#!/bin/sh\necho \"$*\" >\"$HOME/asked\"\ncase $* in *broken*) echo Permission denied >&2; exit 255;; esac\n\
        echo '{\"host\":{\"remoteSocket\":{\"path\":\"unix:///run/user/7/podman/podman.sock\"}}}'\n";
    let twins = Twins::new("asked", &[("bin/ssh", ssh)]);
    let home = twins.home(Program::Machine);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs_err::set_permissions(home.join("bin/ssh"), mode).expect("our file");
    let file = twins.file(Program::Machine);
    let ran = |line: &str| {
        let mut command = twins.command(Program::Machine, &file, &words(line));
        command.env(
            "PATH",
            home.join("bin").display().to_string() + ":/usr/bin:/bin",
        );
        run(&mut command, b"", SOON)
    };
    ran("system connection add --identity /etc/hostname a me@host:2222").succeeded();
    let asked = fs_err::read_to_string(home.join("asked")).expect("it was asked");
    assert_eq!(
        asked,
        "-p 2222 -l me -i /etc/hostname -- host podman info --format json\n"
    );
    let format = "system connection list --format {{.URI}}";
    assert_eq!(
        ran(format).succeeded(),
        "ssh://me@host:2222/run/user/7/podman/podman.sock\n"
    );
    let error = ran("system connection add b broken").failed();
    assert!(error.contains("\n  Permission denied\nhint: "), "{error}");
    assert_eq!(ran(format).succeeded().lines().count(), 1);
}
