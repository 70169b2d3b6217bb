//! `machine` with the stand-in in the place of WSL, as far as it is WSL's alone: tests/contract has what all providers do.

use libtest_mimic::Trial;

use super::user::User;
use crate::contract::trial;

/// The tests.
pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial(
            "cli::a_machine_is_one_distribution",
            a_machine_is_one_distribution,
        ),
        trial(
            "cli::what_is_wrong_with_wsl_is_said",
            what_is_wrong_with_wsl_is_said,
        ),
        trial(
            "cli::an_image_that_is_no_tree_makes_no_machine",
            an_image_that_is_no_tree_makes_no_machine,
        ),
    ]
}

fn a_machine_is_one_distribution() {
    let user = User::new();
    user.init();
    assert_eq!(user.distributions(), "");
    for _ in 0..2 {
        user.succeeds("start m");
        let listed = user.succeeds("list --format {{.Name}}|{{.VMType}}|{{.Running}}");
        assert_eq!(listed, "m*|wsl|true\n");
        user.succeeds("stop m");
    }
    // One import for both.
    let calls = fs_err::read_to_string(user.host.path("calls")).unwrap();
    assert_eq!(calls.matches("--import").count(), 1, "{calls}");
    let name = user.distributions();
    assert!(name.starts_with("machine-m-"), "{name}");
    user.succeeds("rm -f m");
    assert_eq!(user.distributions(), "");
}

/// Each ends in a sentence, with exit code 125, and nothing is imported.
fn what_is_wrong_with_wsl_is_said() {
    let user = User::new();
    user.init();
    for (condition, said) in [
        ("not-installed", "hint: Run `wsl --install"),
        ("version 0.66.2.0", "hint: Run `wsl --update`"),
        ("version-1-only", "version 1 alone"),
        ("no-virtualization", "virtualization is off"),
        ("reboot-pending", "hint: Restart Windows"),
        ("disk-full", "has no room"),
    ] {
        user.host.conditions(condition);
        let error = user.fails("start m");
        assert!(error.contains(said), "{condition}: {error}");
        user.host.conditions("");
        assert_eq!(user.distributions(), "", "{condition}");
    }
    // Half of one is made whole.
    user.host.conditions("import-dies");
    user.fails("start m");
    user.host.conditions("");
    user.succeeds("start m");
    user.succeeds("stop m");
    // One that the user removed is not made anew behind his back.
    let name = user.distributions();
    user.host.said(&["--unregister", name.trim(), "--force"]);
    let error = user.fails("start m");
    assert!(error.contains("any more"), "{error}");
    // Without what was noted, one of that name is somebody's, and stays.
    user.succeeds("rm -f m");
    let image = user.host.path("rootfs.tar");
    let place = user.host.path("theirs");
    let (place, image) = (place.to_str().unwrap(), image.to_str().unwrap());
    let import = ["--import", name.trim(), place, image, "--version", "2"];
    assert_eq!(user.host.said(&import).0, 0);
    user.init();
    let error = user.fails("start m");
    assert!(error.contains("is not of this machine"), "{error}");
    user.succeeds("rm -f m");
    assert_eq!(user.distributions(), name);
}

fn an_image_that_is_no_tree_makes_no_machine() {
    let user = User::new();
    let image = user.host.path("disk.raw");
    let mut disk = vec![0; 1 << 20];
    disk[510..512].copy_from_slice(b"\x55\xaa");
    fs_err::write(&image, disk).unwrap();
    let error = user.fails(&format!("init --image {} m", image.display()));
    assert!(error.contains("is no tar archive"), "{error}");
    assert!(!user.file("").exists());
}
