//! Starts that go wrong: the error names the cause and a command that mends it, comes soon, and leaves a machine that
//! is stopped. What can be done without is told, and the machine is up all the same.
//!
//! * [`guest`]: the guest gets as far as its agent.
//! * [`early`]: it does not.
//! * [`host`]: the host lacks something.

use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::support::command::run;
use crate::support::for_full;
use crate::support::home::{BOOT, Home};

/// A guest may have to boot several times before it is given up.
const GIVEN_UP: Duration = BOOT.saturating_mul(2);

mod early;
mod guest;
mod host;

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = host::trials();
    trials.extend(early::trials());
    trials.extend(for_full(host::long_trials()));
    trials.extend(for_full(early::long_trials()));
    trials.extend(for_full(guest::trials()));
    trials
}

/// Podman's first line for a machine that does not come up (spec 1.4.2).
const NOT_READY: &str = "Error: machine did not transition into running state";

/// What a start that failed said.
struct Failed {
    error: String,
    code: String,
    took: Duration,
}

impl Failed {
    /// The error's text holds all of these, and a hint.
    fn says(&self, words: &[&str]) {
        for word in words {
            assert!(self.error.contains(word), "no `{word}` in: {}", self.error);
        }
        assert!(self.error.contains("hint: "), "{}", self.error);
    }

    fn is(&self, code: &str) {
        assert_eq!(self.code, code, "{}", self.error);
    }
}

/// A start that has to fail; afterwards the machine is stopped and nothing of it runs.
fn fails(home: &Home, arguments: &[&str], environment: &[(&str, &str)]) -> Failed {
    let begun = Instant::now();
    let mut words = vec!["start"];
    words.extend(arguments);
    words.push("x");
    let mut command = home.command(&words);
    command.envs(environment.iter().copied());
    let error = run(&mut command, b"", GIVEN_UP).failed();
    let took = begun.elapsed();
    assert_eq!(home.state("x"), "stopped");
    assert_eq!(home.processes(), [""; 0]);
    Failed {
        code: last_code(home),
        error,
        took,
    }
}

/// A start that has to fail in the guest.
fn fails_in_the_guest(home: &Home, arguments: &[&str]) -> Failed {
    let failed = fails(home, arguments, &[]);
    let line = failed
        .error
        .lines()
        .find(|line| line.starts_with("Error: "));
    assert_eq!(line, Some(NOT_READY), "{}", failed.error);
    failed
}

/// The code of the last failure in the machine's events; empty where there is none.
fn last_code(home: &Home) -> String {
    let text =
        fs_err::read_to_string(home.machine_dir("x").join("events.jsonl")).unwrap_or_default();
    let mut failures = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("an event is JSON"))
        .filter(|event| event["event"] == "failed");
    let code = failures.next_back().map(|event| event["code"].clone());
    code.and_then(|code| code.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// Changes the machine's Ignition file, as a broken release of ours or of the image would have been.
fn change_ignition(home: &Home, change: impl FnOnce(&mut Value)) {
    let path = home.machine_dir("x").join("ignition.json");
    let mut config =
        serde_json::from_slice(&fs_err::read(&path).expect("there is an Ignition file"))
            .expect("it is JSON");
    change(&mut config);
    fs_err::write(&path, config.to_string()).expect("it can be written");
}

/// Adds to a list of the Ignition file.
fn add(config: &mut Value, section: &str, list: &str, entry: Value) {
    config[section][list]
        .as_array_mut()
        .expect("the section has the list")
        .push(entry);
}

/// A unit that runs `script` while the guest boots, before anything that is not needed to get so far. `more` goes into
/// its `[Unit]` section.
fn early_unit(home: &Home, script: &str, more: &str) {
    let contents = format!(
        "[Unit]\nDefaultDependencies=no\nAfter=local-fs.target\n{more}\n\
         [Service]\nType=oneshot\nExecStart=/bin/sh -c '{script}'\n\
         [Install]\nWantedBy=sysinit.target\n"
    );
    change_ignition(home, |config| {
        let unit = json!({"name": "seeded.service", "enabled": true, "contents": contents});
        add(config, "systemd", "units", unit);
    });
}

/// Masks a unit of the guest.
fn mask(home: &Home, name: &str) {
    change_ignition(home, |config| {
        let units = config["systemd"]["units"]
            .as_array_mut()
            .expect("there are units");
        units.retain(|unit| unit["name"] != name);
        units.push(json!({"name": name, "mask": true}));
    });
}
