//! Modes, links, pipes and sockets with names.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, Instant};

use machine_host::lock::FileLock;
use machine_host::process::ProcessIdentity;

use super::super::*;
use super::{Home, of, only};
use crate::machine::DiskFormat;

fn set_mode(path: &Path, bits: u32) {
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(bits)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs_err::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn keys_that_others_may_read_are_closed_and_links_are_left() {
    let home = Home::new();
    let machine = home.make("m");
    let files = &machine.files;
    set_mode(files.directory(), 0o755);
    set_mode(&files.ssh_client_key(), 0o644);
    set_mode(&files.known_hosts(), 0o644);
    let expected = [("open-file", true), ("open-file", true)];
    assert_eq!(home.wrong("m").await, expected);
    let found = home.found(true).await;
    assert!(
        of(&found, "open-file")
            .iter()
            .all(|one| !one.is_open_problem()),
        "{found:#?}"
    );
    assert_eq!(mode(&files.ssh_client_key()), 0o600);
    assert_eq!(mode(files.directory()), 0o700);
    assert_eq!(mode(&files.known_hosts()), 0o644, "it is no secret");
    assert_eq!(home.wrong("m").await, []);

    let elsewhere = home.bench.root.path().join("elsewhere");
    fs_err::write(&elsewhere, "").unwrap();
    set_mode(&elsewhere, 0o644);
    fs_err::remove_file(files.secret()).unwrap();
    symlink(&elsewhere, files.secret()).unwrap();
    home.found(true).await;
    assert_eq!(home.wrong("m").await, [("not-a-file", false)]);
    assert_eq!(mode(&elsewhere), 0o644, "a link is not followed");
}

#[tokio::test]
async fn sockets_of_a_dead_run_go_and_nothing_else_does() {
    let home = Home::new();
    let machine = home.make("m");
    let files = &machine.files;
    for stale in [files.control_socket(), files.api_socket()] {
        drop(UnixListener::bind(stale).unwrap());
    }
    let alive = UnixListener::bind(files.network_socket()).unwrap();
    symlink(files.network_socket(), files.link_socket()).unwrap();
    fs_err::write(files.qmp_socket(), "precious").unwrap();
    let expected = [
        ("stale-sockets", true),
        ("not-a-socket", false),
        ("not-a-socket", false),
    ];
    assert_eq!(home.wrong("m").await, expected);
    let found = home.found(true).await;
    let done = Mending::Done("removed `control.sock`, `podman.sock`".to_owned());
    assert_eq!(only(&found, "stale-sockets").mending, done);
    assert!(!files.control_socket().exists() && !files.api_socket().exists());
    assert_eq!(fs_err::read(files.qmp_socket()).unwrap(), b"precious");
    assert!(files.link_socket().is_symlink() && files.network_socket().exists());
    drop(alive);
    assert_eq!(home.wrong("m").await[0], ("stale-sockets", true));
}

#[tokio::test]
async fn a_machine_that_was_started_meanwhile_keeps_its_sockets() {
    let home = Home::new();
    let machine = home.make("m");
    drop(UnixListener::bind(machine.files.api_socket()).unwrap());
    let found = home.found(false).await;
    let mut finding = only(&found, "stale-sockets").clone();
    let held = FileLock::try_acquire(&machine.files.run_lock()).unwrap();
    fix::mend(&mut finding, &home.premises).await;
    assert!(matches!(&finding.mending, Mending::Failed(why) if why.contains("started")));
    drop(held);
    let process = serde_json::to_value(ProcessIdentity::current().unwrap()).unwrap();
    let record = serde_json::json!({ "process": process, "build": "1" });
    fs_err::write(machine.files.vm_record(), record.to_string()).unwrap();
    finding.mending = Mending::Offered(Remedy::RemoveSockets);
    fix::mend(&mut finding, &home.premises).await;
    assert!(matches!(&finding.mending, Mending::Failed(_)));
    assert!(machine.files.api_socket().exists());
}

#[tokio::test]
async fn a_pipe_in_the_place_of_a_file_keeps_nobody_waiting() {
    let home = Home::new();
    let machine = home.make("m");
    home.make("well");
    for path in [
        machine.files.config(),
        machine.files.secret(),
        machine.files.os_disk(DiskFormat::Raw),
    ] {
        fs_err::remove_file(&path).unwrap();
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
    }
    let begun = Instant::now();
    assert_eq!(
        home.wrong("m").await,
        [("not-a-file", false), ("unreadable", false)]
    );
    assert_eq!(home.wrong("well").await, []);
    assert!(
        begun.elapsed() < Duration::from_secs(30),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn files_that_do_not_answer_are_told_and_nobody_waits() {
    let home = Home::new();
    let pipe = home.bench.root.path().join("config.toml");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    home.make("m");
    let found = home.found(false).await;
    assert!(only(&found, "unobserved").is_open_problem());
    assert_eq!(only(&found, "unobserved").about, About::Host);
    assert_eq!(
        of(&found, "status").len(),
        1,
        "machines are told of all the same"
    );
}
