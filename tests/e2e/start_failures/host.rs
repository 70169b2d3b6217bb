//! The host lacks something: found before a guest is waited for.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use libtest_mimic::Trial;

use super::fails;
use crate::support::home::{BOOT, Home, SOON};
use crate::support::stage::Stage;
use crate::support::trial;

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("failure::no_hypervisor", no_hypervisor),
        trial("failure::no_agent", no_agent),
        trial("failure::an_agent_for_another_system", foreign_agent),
        trial("failure::the_disk_is_gone", no_disk),
        trial("failure::the_disk_is_damaged", damaged_disk),
        trial("failure::the_data_disk_is_gone", no_data_disk),
        trial("failure::files_that_cannot_be_written", read_only),
    ]
}

/// One that boots a guest.
pub(super) fn long_trials() -> Vec<Trial> {
    vec![trial("failure::a_taken_ssh_port_is_changed", taken_port)]
}

fn no_hypervisor() {
    let home = Home::new("noqemu");
    home.init("x", &[]);
    let failed = fails(&home, &[], &[("PATH", "/nonexistent")]);
    failed.is("provider");
    failed.says(&["qemu-system-", "install"]);
}

fn no_agent() {
    let home = Home::new("noagent");
    home.init("x", &[]);
    let directory = home.path().to_str().expect("text").to_owned();
    let failed = fails(&home, &[], &[("MACHINE_AGENT_DIR", &directory)]);
    failed.is("agent-missing");
    failed.says(&["The guest's agent `machine-agent-", "MACHINE_AGENT_DIR"]);
}

fn foreign_agent() {
    let home = Home::new("foreign");
    home.init("x", &[]);
    let name = Stage::get().agent();
    let name = name.file_name().expect("it has a name");
    fs_err::write(home.path().join(name), "MZ").expect("it can be written");
    let directory = home.path().to_str().expect("text").to_owned();
    let failed = fails(&home, &[], &[("MACHINE_AGENT_DIR", &directory)]);
    failed.is("agent-missing");
    failed.says(&["is no Linux program", "Install `machine` again"]);
}

fn no_disk() {
    let home = Home::new("nodisk");
    home.init("x", &[]);
    fs_err::remove_file(home.machine_dir("x").join("disk.qcow2")).expect("it was there");
    let failed = fails(&home, &[], &[]);
    failed.is("host-files");
    failed.says(&["disk.qcow2` cannot be used", "machine rm -f x"]);
}

fn no_data_disk() {
    let home = Home::new("nodata");
    home.init("x", &[]);
    fs_err::remove_file(home.machine_dir("x").join("data.raw")).expect("it was there");
    let failed = fails(&home, &[], &[]);
    failed.is("data-disk");
    failed.says(&[
        "data.raw` cannot be used",
        "It does not exist",
        "machine rm -f x",
    ]);
}

fn damaged_disk() {
    let home = Home::new("damaged");
    home.init("x", &[]);
    fs_err::write(
        home.machine_dir("x").join("disk.qcow2"),
        "QFI\u{fb} and nothing",
    )
    .expect("it is ours");
    let failed = fails(&home, &[], &[]);
    failed.is("host-files");
    failed.says(&["disk.qcow2` cannot be used", "machine rm -f x"]);
}

fn read_only() {
    let home = Home::new("readonly");
    home.init("x", &[]);
    let directory = home.machine_dir("x");
    let mode = |mode| {
        fs_err::set_permissions(&directory, std::fs::Permissions::from_mode(mode))
            .expect("it is ours");
    };
    mode(0o500);
    let error = home.machine(&["start", "x"], SOON).failed();
    mode(0o700);
    assert!(error.contains("Permission denied"), "{error}");
    assert!(error.contains(directory.to_str().expect("text")), "{error}");
}

/// Another program has the port: the machine gets another one, says so, and everything that names it follows.
fn taken_port() {
    let home = Home::new("port");
    home.init("x", &[]);
    let port = |home: &Home| home.listed("x", "Port").as_u64().expect("a number");
    let before = port(&home);
    let squatter = TcpListener::bind(("127.0.0.1", u16::try_from(before).expect("a port")))
        .expect("the port is free");
    let started = home.machine(&["start", "x"], BOOT);
    let expected = format!("detected port conflict on machine ssh port [{before}], reassigning");
    assert!(started.stderr.contains(&expected), "{}", started.stderr);
    started.succeeded();
    let after = port(&home);
    assert_ne!(before, after);
    drop(squatter);
    let text = home
        .machine(&["system", "connection", "list", "--format", "json"], SOON)
        .succeeded();
    assert!(text.contains(&format!("127.0.0.1:{after}/")), "{text}");
    assert!(!text.contains(&format!(":{before}/")), "{text}");
    home.machine(&["ssh", "x", "true"], BOOT).succeeded();
}
