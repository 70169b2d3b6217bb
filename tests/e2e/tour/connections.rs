//! The connections and the environment variable that clients find the machine by.

use std::path::Path;

use libtest_mimic::Trial;

use super::{Engine, rootless, says};
use crate::support::command::clean;
use crate::support::home::{BOOT, SOON};
use crate::support::shared::NAME;
use crate::support::stage::Stage;

pub(super) fn trials() -> Vec<Trial> {
    vec![rootless(
        "the_chosen_connection_and_the_printed_variable_outlast_a_stop",
        outlast_a_stop,
    )]
}

/// Whether the engine that `podman-remote` finds by itself is rootless.
fn podman_finds_rootless(engine: &Engine<'_>) -> String {
    let mut command = clean(&Stage::get().program("podman-remote"), engine.home.path());
    command
        .env("XDG_RUNTIME_DIR", engine.home.path())
        .env("PODMAN_CONNECTIONS_CONF", engine.home.connections());
    says(command.args(["info", "--format", "{{.Host.Security.Rootless}}"]))
}

fn outlast_a_stop(engine: &Engine<'_>) {
    let machine = |arguments: &[&str]| engine.home.machine(arguments, BOOT).succeeded();
    let root = format!("{NAME}-root");
    assert_eq!(podman_finds_rootless(engine), "true");
    machine(&["system", "connection", "default", &root]);
    assert_eq!(podman_finds_rootless(engine), "false");

    let list = ["system", "connection", "list"];
    let before = machine(&list);
    machine(&["stop", NAME]);
    let told = machine(&["start", NAME]);
    assert_eq!(machine(&list), before);
    assert_eq!(podman_finds_rootless(engine), "false");
    engine
        .home
        .machine(&["system", "connection", "default", NAME], SOON)
        .succeeded();

    // The line as it is printed, in a shell.
    let export = told
        .lines()
        .find(|line| line.contains("export DOCKER_HOST"));
    let export = export.unwrap_or_else(|| panic!("no line for the shell: {told}"));
    let mut shell = clean(Path::new("/bin/sh"), engine.home.path());
    let format = "{{(index .Server.Components 0).Name}}";
    shell.args([
        "-euc",
        &format!("{export}\ndocker version --format '{format}'"),
    ]);
    assert_eq!(says(&mut shell), "Podman Engine");
}
