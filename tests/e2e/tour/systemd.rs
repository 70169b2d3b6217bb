//! A container whose first process is systemd.

use std::process::Command;

use libtest_mimic::Trial;

use super::{Engine, each, says};
use crate::support::command::run;
use crate::support::follow::follow;
use crate::support::home::BOOT;
use crate::support::stage::Stage;
use crate::support::terminal;

const IMAGE: &str = "localhost/systemd:e2e";

pub(super) fn trials() -> Vec<Trial> {
    each("systemd_runs_in_a_container", container)
}

fn container(engine: &Engine<'_>) {
    let archive = Stage::get().systemd_image();
    let import = |mut command: Command| {
        command.args(["import", "--quiet", "--change", "CMD [\"/sbin/init\"]"]);
        says(command.arg(&archive).arg(IMAGE));
    };
    import(engine.podman());
    // The guide's own flags.
    let flags = [
        "--privileged",
        "--volume",
        "/sys/fs/cgroup:/sys/fs/cgroup:ro",
    ];
    let mut command = engine.podman();
    command.args([
        "run",
        "--detach",
        "--tty",
        "--network",
        "none",
        "--name",
        "systemd",
    ]);
    says(command.args(flags).arg(IMAGE));
    let mut console = follow(engine.podman().args(["logs", "--follow", "systemd"]));
    console.until("started by systemd", BOOT);

    let exec = [
        "exec",
        "-it",
        "systemd",
        "systemctl",
        "is-system-running",
        "--wait",
    ];
    let mut terminal = terminal::open(engine.podman().args(exec), 24, 80);
    terminal.until("running", BOOT);
    assert_eq!(terminal.end(BOOT).code(), Some(0));

    // A stop is systemd's own orderly end, not a kill after ten seconds.
    let stopped = run(
        engine.podman().args(["stop", "--time", "100", "systemd"]),
        b"",
        BOOT,
    );
    stopped.succeeded();
    let state = ["inspect", "--format", "{{.State.ExitCode}}", "systemd"];
    assert_eq!(engine.podman_says(&state), "130");
    engine.podman_says(&["rm", "systemd"]);
}
