//! Docker's compose on the machine's socket.

use std::os::unix::fs::symlink;
use std::process::Command;

use libtest_mimic::Trial;

use super::{Engine, each, says};
use crate::support::follow::follow;
use crate::support::home::BOOT;
use crate::support::shared::IMAGE;
use crate::support::stage::Stage;

pub(super) fn trials() -> Vec<Trial> {
    each("compose_brings_services_up_and_down", up_and_down)
}

const FILE: &str = r#"
name: tour
services:
  server:
    image: IMAGE
    command: ["sh", "-c", "echo composed >/page; httpd -h /; mkfifo /end; echo listens; read word </end"]
    init: true
    stop_signal: SIGKILL
  client:
    image: IMAGE
    command: ["wget", "-qO-", "http://server/page"]
    depends_on:
      server: {condition: service_started}
    profiles: [later]
volumes:
  kept: {}
"#;

fn up_and_down(engine: &Engine<'_>) {
    let project = engine.directory("compose");
    // As a package puts it: a plug-in of docker.
    let plugins = engine.home.path().join(".docker/cli-plugins");
    fs_err::create_dir_all(&plugins).expect("a directory can be made");
    let _ = symlink(
        Stage::get().program("docker-compose"),
        plugins.join("docker-compose"),
    );
    let file = project.join("compose.yaml");
    fs_err::write(&file, FILE.replace("IMAGE", IMAGE)).expect("a file can be written");
    let compose = |arguments: &[&str]| -> Command {
        let mut command = engine.docker();
        command
            .arg("compose")
            .arg("--file")
            .arg(&file)
            .args(arguments);
        command
    };

    says(&mut compose(&["up", "--detach", "--pull", "never"]));
    let mut logs = follow(&mut compose(&["logs", "--follow", "--no-color"]));
    logs.until("listens", BOOT);
    let text = says(&mut compose(&["run", "--rm", "--no-TTY", "client"]));
    assert_eq!(text, "composed");
    let text = says(&mut compose(&[
        "exec",
        "--no-TTY",
        "server",
        "sh",
        "-c",
        "echo end >/end; echo told",
    ]));
    assert_eq!(text, "told");
    let (status, _) = logs.finish(BOOT);
    assert!(status.success(), "the logs end with the service");
    let text = says(&mut compose(&[
        "ps",
        "--all",
        "--format",
        "{{.Service}} {{.ExitCode}}",
    ]));
    assert_eq!(text, "server 0");
    says(&mut compose(&["down", "--volumes"]));
    let left = engine.podman_says(&[
        "ps",
        "--all",
        "--filter",
        "label=com.docker.compose.project=tour",
        "--quiet",
    ]);
    assert_eq!(left, "");
    let networks = engine.podman_says(&["network", "ls", "--format", "{{.Name}}"]);
    assert!(!networks.contains("tour_default"), "{networks}");
}
