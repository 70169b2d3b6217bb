//! Containers: run, looked into, copied to and from, limited, followed to their end.

use std::time::Duration;

use libtest_mimic::Trial;

use super::{Engine, each, ended};
use crate::support::follow::follow;
use crate::support::home::BOOT;
use crate::support::shared::IMAGE;
use crate::support::terminal;

/// An emulated guest answers what is typed within this time even while the host is busy.
const ANSWER: Duration = Duration::from_mins(1);

pub(super) fn trials() -> Vec<Trial> {
    [
        each("init_user_namespace_seccomp_and_memory_limit", confined),
        each("too_much_memory_is_the_end_of_one_process", over_eater),
        each("exec_at_a_terminal", at_a_terminal),
        each("copies_go_both_ways", copies),
        each("logs_and_events_are_followed_to_the_end", followed),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn confined(engine: &Engine<'_>) {
    let script = "cat /proc/1/comm /sys/fs/cgroup/memory.max; grep Seccomp: /proc/self/status; cat /proc/self/uid_map";
    let text = engine.podman_says(&["exec", engine.container(), "sh", "-c", script]);
    let rows: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(rows[0], ["podman-init"], "catatonit is process 1: {text}");
    assert_eq!(rows[1], ["67108864"], "the limit is the kernel's: {text}");
    assert_eq!(rows[2], ["Seccomp:", "2"], "filtered: {text}");
    if engine.rootful {
        assert_eq!(rows[3], ["0", "0", "4294967295"], "{text}");
    } else {
        assert_eq!(rows[3][0], "0", "{text}");
        assert_ne!(
            rows[3][1], "0",
            "root inside is an ordinary user outside: {text}"
        );
        assert_eq!(rows[3][2], "1", "{text}");
    }
}

/// 128 MiB at once in a container of 64: the kernel kills the one that asks, and the container goes on.
fn over_eater(engine: &Engine<'_>) {
    let script = "dd if=/dev/zero of=/dev/null bs=32M count=1 2>/dev/null; echo $?
        dd if=/dev/zero of=/dev/null bs=128M count=1 2>/dev/null; echo $?";
    let text = engine.podman_says(&["exec", engine.container(), "sh", "-c", script]);
    assert_eq!(text.lines().collect::<Vec<_>>(), ["0", "137"]);
}

fn at_a_terminal(engine: &Engine<'_>) {
    let container = engine.container();
    let exec = ["exec", "-it", container, "sh"];

    let mut terminal = terminal::open(engine.podman().args(exec), 40, 111);
    terminal.until("# ", ANSWER);
    // What is typed is shown too, so what is waited for must not be what is typed.
    terminal.enter("stty size; echo is $((6 * 7))");
    terminal.until("40 111", ANSWER);
    terminal.until("is 42", ANSWER);
    terminal.enter("trap 'stty size; exit 7' WINCH; echo set $((1 + 1)); read nothing");
    terminal.until("set 2", ANSWER);
    terminal.resize(50, 99);
    terminal.until("50 99", ANSWER);
    assert_eq!(terminal.end(ANSWER).code(), Some(7));

    // Docker tells the size after the start, and may miss a change that comes soon after.
    let mut terminal = terminal::open(engine.docker().args(exec), 30, 90);
    terminal.until("# ", ANSWER);
    terminal.enter(
        "check() { [ \"$(stty size)\" != \"30 90\" ] || exit 8; }; trap check WINCH; check; \
         while :; do read nothing; done",
    );
    assert_eq!(terminal.end(ANSWER).code(), Some(8));
}

fn copies(engine: &Engine<'_>) {
    let here = engine.directory("copies");
    let (source, back) = (here.join("source"), here.join("back"));
    fs_err::create_dir_all(source.join("inner")).expect("a directory can be made");
    let bytes: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    fs_err::write(source.join("inner/bytes"), &bytes).expect("a file can be written");
    fs_err::write(source.join("ä b"), "named\n").expect("a file can be written");

    let container = engine.container();
    let inside = format!("{container}:/copied");
    let text = |path: &std::path::Path| path.to_str().expect("the path is text").to_owned();
    engine.podman_says(&["cp", &text(&source), &inside]);
    engine.docker_says(&["cp", &inside, &text(&back)]);
    assert!(fs_err::read(back.join("inner/bytes")).expect("it came back") == bytes);
    let named = fs_err::read_to_string(back.join("ä b")).expect("it came back");
    assert_eq!(named, "named\n");

    let gone = format!("{container}:/not-there");
    let ended = ended(engine.podman().args(["cp", &gone, &text(&here)]));
    assert!(!ended.status.success());
    assert!(ended.stderr.contains("/not-there"), "{}", ended.stderr);
    // The engine's process has been inside of the container, and can open libraries all the same.
    engine.podman_says(&["logs", container]);
}

/// The container waits for a line, so all that follows it is known to see it live.
fn followed(engine: &Engine<'_>) {
    let script = "mkfifo /go; echo one; read word </go; echo \"$word\"; exit 3";
    let run = ["run", "--detach", "--network", "none", "--name", "followed"];
    engine.podman_says(&[&run[..], &[IMAGE, "sh", "-c", script]].concat());

    let logs = ["logs", "--follow", "followed"];
    let mut podman_logs = follow(engine.podman().args(logs));
    let mut docker_logs = follow(engine.docker().args(logs));
    let filter = [
        "--since",
        "5m",
        "--filter",
        "container=followed",
        "--format",
    ];
    let mut podman_events = follow(
        engine
            .podman()
            .arg("events")
            .args(filter)
            .arg("{{.Status}}"),
    );
    let mut docker_events = follow(
        engine
            .docker()
            .arg("events")
            .args(filter)
            .arg("{{.Action}}"),
    );
    let wait = ["wait", "followed"];
    let podman_wait = follow(engine.podman().args(wait));
    podman_logs.until("one", BOOT);
    docker_logs.until("one", BOOT);
    podman_events.until("start", BOOT);
    docker_events.until("start", BOOT);

    // What this wakes ends the container, and with it the shell that woke it.
    ended(
        engine
            .docker()
            .args(["exec", "followed", "sh", "-c", "echo two >/go"]),
    );
    for logs in [podman_logs, docker_logs] {
        let (status, lines) = logs.finish(BOOT);
        assert!(status.success());
        assert_eq!(lines, ["one", "two"], "the stream ends with the container");
    }
    podman_events.until("died", BOOT);
    docker_events.until("die", BOOT);
    assert_eq!(podman_wait.finish(BOOT).1, ["3"]);
    engine.podman_says(&["rm", "followed"]);
    podman_events.until("remove", BOOT);
    docker_events.until("remove", BOOT);
}
