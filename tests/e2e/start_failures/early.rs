//! The guest does not get as far as its agent.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use libtest_mimic::Trial;
use serde_json::json;

use super::{NOT_READY, add, change_ignition, early_unit, fails, fails_in_the_guest};
use crate::support::home::{Home, SOON};
use crate::support::stage::Stage;
use crate::support::trial;

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("failure::an_empty_disk", empty_disk),
        trial("failure::a_disk_that_is_no_system", no_system),
        trial(
            "failure::ignition_is_refused_by_the_guest",
            refused_ignition,
        ),
        trial("failure::the_kernel_panics", kernel_panic),
        trial("failure::the_time_is_up", too_slow),
    ]
}

/// Those that take longer.
pub(super) fn long_trials() -> Vec<Trial> {
    vec![
        trial("failure::the_agent_ends_again_and_again", agent_loop),
        trial("failure::the_guest_powers_itself_off", power_off),
        trial("failure::a_group_that_the_image_lacks", missing_group),
        trial("failure::the_guest_resets_itself_for_ever", reset_loop),
    ]
}

/// A guest that cannot boot is not waited for.
const AT_ONCE: Duration = Duration::from_secs(45);

fn from_disk(home: &Home, image: &str) {
    let words = [
        "init",
        "--image",
        image,
        "--memory",
        "512",
        "--disk-size",
        "1",
        "x",
    ];
    home.machine(&words, SOON).succeeded();
}

fn empty_disk() {
    let home = Home::new("empty");
    from_disk(&home, "/dev/null");
    let failed = fails_in_the_guest(&home, &[]);
    failed.is("not-bootable");
    failed.says(&[
        "nothing to boot",
        "No bootable device",
        "machine init --image",
    ]);
    assert!(failed.took < AT_ONCE, "{:?}", failed.took);
}

/// As an image for another architecture: a partition table, and no code that this firmware can run. It is run all the
/// same, and says nothing: only the time tells.
fn no_system() {
    let home = Home::new("nosystem");
    let image = home.path().join("foreign.raw");
    let mut disk = vec![0; 8 << 20];
    disk[446..462].copy_from_slice(&[
        0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0xff, 0x3f, 0, 0,
    ]);
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    fs_err::write(&image, disk).expect("it can be written");
    from_disk(&home, image.to_str().expect("text"));
    let failed = fails_in_the_guest(&home, &["--timeout", "15s"]);
    failed.is("not-bootable");
    failed.says(&["not made for this architecture", "machine rm -f x"]);
    assert!(failed.took < AT_ONCE, "{:?}", failed.took);
}

fn refused_ignition() {
    let home = Home::new("ignition");
    home.init("x", &[]);
    change_ignition(&home, |config| {
        config["ignition"]["version"] = json!("9.9.9");
    });
    let failed = fails_in_the_guest(&home, &[]);
    failed.is("ignition");
    failed.says(&[
        "Ignition failed in the guest's first boot",
        "unsupported config version",
    ]);
}

fn missing_group() {
    let home = Home::new("group");
    home.init("x", &[]);
    change_ignition(&home, |config| {
        let file = json!({"path": "/etc/seeded", "group": {"name": "wheelhouse"}, "contents": {"source": "data:,"}});
        add(config, "storage", "files", file);
    });
    let failed = fails_in_the_guest(&home, &[]);
    failed.is("ignition");
    failed.says(&["wheelhouse"]);
}

fn kernel_panic() {
    let home = Home::new("panic");
    home.init("x", &[]);
    early_unit(&home, "echo c >/proc/sysrq-trigger", "");
    let failed = fails(&home, &[], &[]);
    // Where the guest tells its hypervisor, the VM has ended; else the console told.
    assert!(
        failed.error.contains(NOT_READY) || failed.error.contains("panic"),
        "{}",
        failed.error
    );
    failed.is("kernel-panic");
    failed.says(&["Kernel panic - not syncing", "machine rm -f x"]);
}

fn reset_loop() {
    let home = Home::new("resets");
    home.init("x", &[]);
    // What Ignition has written of its result must outlast the reset, or that is what fails.
    early_unit(&home, "sync; echo b >/proc/sysrq-trigger", "");
    let failed = fails_in_the_guest(&home, &[]);
    failed.is("reset-loop");
    failed.says(&["reset itself 4 times"]);
}

fn power_off() {
    let home = Home::new("poweroff");
    home.init("x", &[]);
    early_unit(&home, "echo o >/proc/sysrq-trigger; sleep 60", "");
    let failed = fails_in_the_guest(&home, &[]);
    failed.is("powered-off");
    failed.says(&["powered itself off"]);
}

/// A program of the right architecture that is no agent.
fn agent_loop() {
    let home = Home::new("agentloop");
    home.init("x", &[]);
    let directory = home.path().join("agents");
    fs_err::create_dir(&directory).expect("it can be made");
    let name = Stage::get().agent();
    let agent = directory.join(name.file_name().expect("it has a name"));
    fs_err::copy(Stage::get().program("busybox"), &agent).expect("it can be copied");
    fs_err::set_permissions(&agent, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    let directory = directory.to_str().expect("text");
    let failed = fails(&home, &[], &[("MACHINE_AGENT_DIR", directory)]);
    failed.is("agent-crash");
    failed.says(&["agent ended", "Install `machine` again"]);
}

fn too_slow() {
    let home = Home::new("slow");
    home.init("x", &[]);
    let failed = fails_in_the_guest(&home, &["--timeout", "3s"]);
    failed.is("too-slow");
    failed.says(&["took too long", "waiting for", "machine start --timeout"]);
    assert!(failed.took < AT_ONCE, "{:?}", failed.took);
}
