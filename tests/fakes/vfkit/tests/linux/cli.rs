//! `machine` with the stand-ins, as far as it is vfkit's and krunkit's alone: tests/contract has what all providers do.

use std::time::Duration;

use fs_err as fs;
use libtest_mimic::Trial;
use machine::provider::apple::AppleProvider;

use super::User;
use crate::common::command::run;
use crate::contract::{Bench as _, NAME, trial};

const LIMIT: Duration = Duration::from_secs(30);

/// The tests.
pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial(
            "cli::the_first_boot_alone_is_configured",
            the_first_boot_alone_is_configured,
        ),
        trial(
            "cli::what_is_wrong_with_the_program_is_said",
            what_is_wrong_with_the_program_is_said,
        ),
        trial(
            "cli::a_host_refuses_the_providers_of_others",
            a_host_refuses_the_providers_of_others,
        ),
    ]
}

/// The first boot asks for its configuration, the second does not.
fn the_first_boot_alone_is_configured() {
    for provider in [AppleProvider::vfkit(), AppleProvider::krunkit()] {
        let user = User::new(provider);
        user.init();
        let file = |name: &str| user.place.machine_dir(NAME).join(name);
        for asked in [true, false] {
            user.machine(&["start", NAME]);
            let console = fs::read_to_string(file("console.log")).expect("there is a console");
            assert_eq!(console.contains("Ignition: ran"), asked, "{console}");
            // Other processes of the guest do not get it any more.
            assert!(!file("vsock.sock_1024").exists());
            user.machine(&["stop", NAME]);
        }
    }
}

/// Each ends in a sentence, with exit code 125, and nothing runs on.
fn what_is_wrong_with_the_program_is_said() {
    let user = User::new(AppleProvider::vfkit());
    user.init();
    for (mischief, said) in [
        (
            "version 0.5.1",
            "is vfkit 0.5.1, and at least 0.6.0 is needed",
        ),
        (
            "version 0.5.1",
            "hint: Install a newer one with `brew upgrade vfkit`",
        ),
        ("mute", "did not tell its version"),
        ("refuse missing entitlement", "missing entitlement"),
        ("die-at configured", "before the machine ran"),
        ("die-at ignition", "by signal"),
        ("die-at agent", "by signal"),
        ("silent-rest", "did not answer within 5 s"),
        ("no-rest", "did not answer within 10 s"),
    ] {
        user.mischief(mischief);
        let error = user.refuses(&["start", NAME]);
        assert!(error.contains(said), "{mischief}: {error}");
        user.is_down();
    }
    fs::remove_file(user.place.path().join("bin/vfkit")).expect("it is there");
    let error = user.refuses(&["start", NAME]);
    assert!(error.contains("`vfkit` was not found"), "{error}");
    assert!(error.contains("brew install vfkit"), "{error}");
}

fn a_host_refuses_the_providers_of_others() {
    let user = User::new(AppleProvider::vfkit());
    let mut command = user.place.command(&["init", "--provider", "applehv", NAME]);
    let command = command.env_remove("MACHINE_FOREIGN_PROVIDERS");
    let said = run(command, b"", LIMIT).failed();
    assert_eq!(said, "Error: unsupported provider \"applehv\"\n");
}
