//! What is vfkit's and krunkit's alone, through the command line: their Ignition, what is wrong with them, Rosetta.

use std::ffi::OsStr;
use std::path::PathBuf;

use fs_err as fs;
use libtest_mimic::Trial;
use machine::provider::Provider as _;
use machine::provider::apple::AppleProvider;

use super::user::{FAKE, User};
use crate::common::SOON;
use crate::contract::{Bench as _, NAME, trial};

/// The tests.
pub(super) fn trials() -> Vec<Trial> {
    let tests: [(&str, fn()); 5] = [
        (
            "a_guest_asks_for_its_configuration_once",
            a_guest_asks_for_its_configuration_once,
        ),
        (
            "what_is_wrong_with_the_program_is_said",
            what_is_wrong_with_the_program_is_said,
        ),
        (
            "a_program_that_cannot_be_used_gets_no_machine",
            a_program_that_cannot_be_used_gets_no_machine,
        ),
        (
            "rosetta_is_asked_for_where_it_can_be_had",
            rosetta_is_asked_for_where_it_can_be_had,
        ),
        (
            "a_host_refuses_the_providers_of_others",
            a_host_refuses_the_providers_of_others,
        ),
    ];
    let trials = tests.map(|(name, test)| trial(&format!("apple::{name}"), test));
    trials.into()
}

impl User {
    /// A file of the machine.
    fn file(&self, name: &str) -> PathBuf {
        self.place.machine_dir(NAME).join(name)
    }

    fn start(&self) {
        self.machine(&["start", NAME]);
    }
}

/// And no other process of the guest gets it later; how its VM ended is told.
fn a_guest_asks_for_its_configuration_once() {
    for provider in [AppleProvider::vfkit, AppleProvider::krunkit] {
        let user = User::new(provider());
        user.init();
        for asked in [true, false] {
            user.start();
            let console = fs::read_to_string(user.file("console.log")).expect("it is written");
            assert_eq!(console.contains("Ignition: ran"), asked, "{console}");
            assert!(!user.file("vsock.sock_1024").exists());
            user.vm().kill().expect("it is the test's own");
            user.is_down();
        }
        let events = fs::read_to_string(user.file("events.jsonl")).expect("it is written");
        assert_eq!(events.matches("signal: 9").count(), 2, "{events}");
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

/// Each ends in a sentence that says what to do, with exit code 125, before anything of a machine is made.
fn a_program_that_cannot_be_used_gets_no_machine() {
    let user = User::new(AppleProvider::vfkit());
    let image = user.image();
    let words = ["init", "--volume=", "--image", &image, NAME];
    for (mischief, said) in [
        (
            "version 0.5.1",
            "hint: Install a newer one with `brew upgrade vfkit`",
        ),
        ("mute", "hint: See whether macOS lets it run"),
        ("unsigned", "ended with signal: 9"),
        ("unsigned", "`brew reinstall vfkit`"),
    ] {
        user.mischief(mischief);
        let error = user.refuses(&words);
        assert!(error.contains(said), "{mischief}: {error}");
        assert!(!user.file("").exists());
    }
    user.mischief("");
    let disk = user.place.path().join("data,1.raw");
    let made = fs::File::create(&disk).and_then(|disk| disk.set_len(1 << 30));
    made.expect("it can be written");
    let disk = disk.to_str().expect("the path is text");
    let error = user.refuses(&[&words[..], &["--data-disk", disk]].concat());
    assert!(error.contains("there is `,` in it"), "{error}");
    // It can be told of no file in this home, however long the names of its sockets may be.
    let home = user.place.path().join("a,b");
    let error = with(&user, &words, "MACHINE_HOME", Some(home.as_os_str()));
    assert!(error.contains("hint: Put it where no folder"), "{error}");
    let program = user.place.path().join("bin/vfkit");
    fs::remove_file(&program).expect("it is there");
    let error = user.refuses(&words);
    assert!(
        error.contains("hint: Install it with `brew install vfkit`"),
        "{error}"
    );
    assert!(!user.file("").exists());
    // One that is there and whose framework refuses it shows that when it starts.
    std::os::unix::fs::symlink(FAKE, program).expect("a link can be made");
    user.init();
    user.mischief(
        "refuse the process doesn't have the \"com.apple.security.virtualization\" entitlement",
    );
    let error = user.refuses(&["start", NAME]);
    assert!(
        error.contains("was not signed so that it may run virtual machines"),
        "{error}"
    );
}

/// What a command says that fails with another environment.
fn with(user: &User, words: &[&str], name: &str, value: Option<&OsStr>) -> String {
    let mut command = user.place.command(words);
    match value {
        Some(value) => command.env(name, value),
        None => command.env_remove(name),
    };
    crate::common::command::run(&mut command, b"", SOON).failed()
}

/// Where it cannot be had the start says why, and goes on.
fn rosetta_is_asked_for_where_it_can_be_had() {
    for (provider, missing) in [
        (
            AppleProvider::vfkit(),
            "only a Mac with a processor of Apple's has Rosetta",
        ),
        (
            AppleProvider::krunkit(),
            "machines of the provider `libkrun` have no Rosetta",
        ),
    ] {
        let can_have =
            provider.kind() == AppleProvider::vfkit().kind() && std::env::consts::ARCH == "aarch64";
        let user = User::new(provider);
        user.init();
        let folder = user.place.root.join("home/.config/containers");
        fs::create_dir_all(&folder).expect("a directory can be made");
        let conf = folder.join("containers.conf");
        fs::write(&conf, "[machine]\nrosetta = true\n").expect("it can be written");
        let started = user.run(&["start", NAME]);
        let said = started.stderr.clone() + &started.succeeded();
        let line = fs::read(format!("/proc/{}/cmdline", user.vm().pid)).expect("it runs");
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let has_rosetta = line.contains("--device rosetta,mountTag=rosetta,install ");
        assert_eq!(has_rosetta, can_have, "{line}");
        assert_eq!(said.contains(missing), !can_have, "{said}");
        user.machine(&["stop", NAME]);
        // It is read at each start.
        fs::write(&conf, "[machine]\nrosetta = false\n").expect("it can be written");
        let started = user.run(&["start", NAME]);
        let said = started.stderr.clone() + &started.succeeded();
        assert!(!said.contains("Rosetta"), "{said}");
        user.machine(&["stop", NAME]);
        user.is_down();
    }
}

fn a_host_refuses_the_providers_of_others() {
    let user = User::new(AppleProvider::vfkit());
    let words = ["init", "--provider", "applehv", NAME];
    let said = with(&user, &words, "MACHINE_FOREIGN_PROVIDERS", None);
    assert_eq!(said, "Error: unsupported provider \"applehv\"\n");
}
