//! Starts that fail in the guest: the error names the cause, comes soon, and leaves a machine that is stopped.

use std::time::Duration;

use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::support::home::{BOOT, Home, SOON};
use crate::support::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(
            "failure::ignition_is_refused_by_the_guest",
            refused_ignition,
        ),
        trial("failure::the_engine_is_masked", masked_engine),
        trial("failure::nothing_boots", nothing_boots),
    ]
}

/// Changes the machine's Ignition file, as a broken release of ours would have written it.
fn change_ignition(home: &Home, name: &str, change: impl FnOnce(&mut Value)) {
    let path = home.machine_dir(name).join("ignition.json");
    let mut config =
        serde_json::from_slice(&fs_err::read(&path).expect("there is an Ignition file"))
            .expect("it is JSON");
    change(&mut config);
    fs_err::write(&path, config.to_string()).expect("it can be written");
}

fn fails_to_start(home: &Home, name: &str, more: &[&str]) -> String {
    let mut arguments = vec!["start"];
    arguments.extend(more);
    arguments.push(name);
    let error = home.machine(&arguments, BOOT).failed();
    let line = error.lines().find(|line| line.starts_with("Error: "));
    let expected = "Error: machine did not transition into running state";
    assert_eq!(line, Some(expected), "{error}");
    assert_eq!(home.state(name), "stopped");
    assert_eq!(home.processes(), [""; 0]);
    error
}

fn refused_ignition() {
    let home = Home::new("ignition");
    home.init("x", &[]);
    change_ignition(&home, "x", |config| {
        config["ignition"]["version"] = json!("9.9.9");
    });
    let error = fails_to_start(&home, "x", &[]);
    assert!(
        error.contains("Ignition failed in the guest's first boot"),
        "{error}"
    );
    assert!(
        error.contains("unsupported config version"),
        "the guest's own words: {error}"
    );
    assert!(error.contains("hint: "), "{error}");
}

fn masked_engine() {
    let home = Home::new("masked");
    home.init("x", &["--rootful"]);
    change_ignition(&home, "x", |config| {
        let units = config["systemd"]["units"]
            .as_array_mut()
            .expect("there are units");
        let socket = units
            .iter_mut()
            .find(|unit| unit["name"] == "podman.socket")
            .expect("podman.socket is one");
        *socket = json!({"name": "podman.socket", "mask": true});
    });
    let error = fails_to_start(&home, "x", &[]);
    assert!(
        error.contains("rootful engine") && error.contains("podman.socket"),
        "{error}"
    );
}

fn nothing_boots() {
    let home = Home::new("empty");
    home.machine(
        &[
            "init",
            "--image",
            "/dev/null",
            "--memory",
            "512",
            "--disk-size",
            "1",
            "x",
        ],
        SOON,
    )
    .succeeded();
    let begun = std::time::Instant::now();
    let error = fails_to_start(&home, "x", &["--timeout", "20s"]);
    assert!(
        begun.elapsed() < Duration::from_mins(1),
        "the user's limit counts: {:?}",
        begun.elapsed()
    );
    assert!(error.contains("waiting for the guest's agent"), "{error}");
    assert!(
        error.contains("No bootable device"),
        "the console's last lines: {error}"
    );
}
