//! The guest gets as far as its agent, which then knows what is wrong.

use libtest_mimic::Trial;
use machine_host::process::ProcessIdentity;
use serde_json::json;

use super::{add, change_ignition, early_unit, fails_in_the_guest, mask};
use crate::support::command::eventually;
use crate::support::home::{BOOT, Home, SOON};
use crate::support::trial;

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("failure::the_engine_is_masked_and_mended", masked_engine),
        trial("failure::the_engine_is_broken", broken_engine),
        trial("failure::the_guests_disk_is_full", full_disk),
        trial("failure::emergency_mode", emergency),
        trial("failure::the_user_does_not_linger", no_linger),
        trial("failure::ssh_and_name_servers_are_off", no_ssh),
        trial("failure::another_secret", other_secret),
    ]
}

/// The whole way out: the error names it, rescue keeps the guest, a command mends it, the machine is whole.
fn masked_engine() {
    let home = Home::new("masked");
    home.init("x", &["--rootful"]);
    mask(&home, "podman.socket");
    let failed = fails_in_the_guest(&home, &[]);
    failed.is("engine-failed");
    failed.says(&[
        "rootful engine",
        "podman.socket",
        "machine start --rescue x",
        "unmask",
    ]);

    let started = home.machine(&["start", "--rescue", "x"], BOOT);
    assert!(
        started.stderr.contains("kept for rescue"),
        "{}",
        started.stderr
    );
    started.succeeded();
    assert_eq!(home.state("x"), "running");
    let unmask = "systemctl unmask podman.socket && systemctl enable --now podman.socket";
    home.machine(&["exec", "--user", "root", "x", "sh", "-c", unmask], BOOT)
        .succeeded();
    home.machine(&["stop", "x"], BOOT).succeeded();
    home.machine(&["start", "x"], BOOT).succeeded();
}

fn broken_engine() {
    let home = Home::new("broken");
    home.init("x", &["--rootful"]);
    change_ignition(&home, |config| {
        let units = config["systemd"]["units"].as_array_mut().expect("units");
        let service = units
            .iter_mut()
            .find(|unit| unit["name"] == "podman.service")
            .expect("the engine's unit");
        let drop_ins = service["dropins"].as_array_mut().expect("drop-ins");
        drop_ins.push(json!({
            "name": "seeded.conf",
            "contents": "[Service]\nExecStart=\nExecStart=/bin/sh -c 'echo seeded words; exit 7'\n"
        }));
    });
    let failed = fails_in_the_guest(&home, &[]);
    failed.is("engine-failed");
    failed.says(&["rootful engine", "seeded words", "machine start --rescue x"]);
}

fn full_disk() {
    let home = Home::new("full");
    home.init("x", &["--rootful"]);
    let fill = "fallocate -l $(df --output=avail -B1 /var | tail -n 1) /var/fill; \
                dd if=/dev/zero of=/var/rest bs=4k 2>/dev/null; sync";
    early_unit(
        &home,
        fill,
        "After=grow-root.service\nBefore=podman.socket sysinit.target",
    );
    let failed = fails_in_the_guest(&home, &[]);
    failed.is("guest-disk-full");
    failed.says(&["disk is full", "machine set --disk-size GIB x"]);
}

fn emergency() {
    let home = Home::new("emergency");
    home.init("x", &[]);
    change_ignition(&home, |config| {
        let contents = "[Unit]\nDefaultDependencies=no\nBefore=local-fs.target\n\
                        [Service]\nType=oneshot\nExecStart=/bin/false\n\
                        [Install]\nRequiredBy=local-fs.target\n";
        let unit = json!({"name": "seeded.service", "enabled": true, "contents": contents});
        add(config, "systemd", "units", unit);
    });
    let failed = fails_in_the_guest(&home, &[]);
    failed.is("emergency-mode");
    failed.says(&["maintenance", "seeded.service", "machine start --rescue x"]);
}

fn no_linger() {
    let home = Home::new("linger");
    home.init("x", &[]);
    change_ignition(&home, |config| {
        let files = config["storage"]["files"].as_array_mut().expect("files");
        files.retain(|file| file["path"] != "/var/lib/systemd/linger/core");
    });
    let failed = fails_in_the_guest(&home, &[]);
    failed.is("engine-failed");
    failed.says(&["rootless engine", "podman.sock", "machine start --rescue x"]);
}

/// A machine without SSH is worth having; that it is so is told by every command that tells of its state.
fn no_ssh() {
    let home = Home::new("nossh");
    home.init("x", &[]);
    mask(&home, "ssh.service");
    change_ignition(&home, |config| {
        let file = json!({"path": "/etc/resolv.conf", "overwrite": true, "mode": 0o644,
            "contents": {"source": "data:,%23%20nothing%0A"}});
        add(config, "storage", "files", file);
    });
    let started = home.machine(&["start", "x"], BOOT);
    for word in ["SSH server takes no connections", "names no name server"] {
        assert!(started.stderr.contains(word), "{}", started.stderr);
    }
    started.succeeded();
    assert_eq!(home.state("x"), "running");
    let text = home.machine(&["inspect", "x"], SOON).succeeded();
    assert!(text.contains("SSH server takes no connections"), "{text}");
    // It works without SSH and without a network.
    let text = home
        .machine(&["exec", "x", "echo", "here"], SOON)
        .succeeded();
    assert_eq!(text.trim_end(), "here");
    let mend = "systemctl unmask ssh.service && systemctl start ssh.service";
    home.machine(&["exec", "--user", "root", "x", "sh", "-c", mend], BOOT)
        .succeeded();
}

/// A supervisor that takes over a guest which knows another secret.
fn other_secret() {
    let home = Home::new("secret");
    home.init("x", &[]);
    home.machine(&["start", "x"], BOOT).succeeded();
    let supervisor = home
        .processes()
        .iter()
        .find(|line| line.contains(" supervise "))
        .and_then(|line| line.split(' ').next()?.parse::<u32>().ok())
        .expect("there is a supervisor");
    let supervisor = ProcessIdentity::of(supervisor)
        .expect("it can be asked for")
        .expect("it lives");
    supervisor.kill().expect("it is ours");
    eventually("the supervisor is gone", SOON, || {
        (!supervisor.is_alive()).then_some(())
    });
    let secret = home.machine_dir("x").join("secret");
    fs_err::write(&secret, "5a".repeat(32)).expect("it is ours");
    let failed = fails_in_the_guest(&home, &[]);
    failed.is("agent-refused");
    failed.says(&["another secret", "start the machine again"]);
    home.machine(&["start", "x"], BOOT).succeeded();
}
