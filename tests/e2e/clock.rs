//! The guest's clock follows the host's, whatever happens to it. What a sleep of the host does is in
//! [`deaths`](crate::deaths).

use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use libtest_mimic::Trial;
use serde_json::Value;

use crate::support::command::{eventually, run};
use crate::support::home::{BOOT, Home, SOON};
use crate::support::shared::{self, NAME};
use crate::support::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial("clock::a_stepped_clock_is_set_back", stepped)]
}

/// With a machine of its own, whose guest is the stub.
pub(crate) fn own_trials() -> Vec<Trial> {
    vec![trial(
        "clock::a_machine_of_the_time_before_the_clock_was_put_back",
        put_back,
    )]
}

/// A look at the guest's clock costs a program, which an emulated guest takes a while to run.
pub(crate) const TOLERANCE: f64 = 2.0;
/// The guest's clock is looked at every ten seconds.
pub(crate) const SET: Duration = Duration::from_secs(40);

fn in_guest(home: &Home, command: &str) -> String {
    let words = ["exec", "--user", "root", NAME, "sh", "-c", command];
    home.machine(&words, SOON).succeeded()
}

/// How far the guest's clock is from the host's, in seconds, as far as can be told from outside.
pub(crate) fn distance(home: &Home) -> f64 {
    let now = || {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.expect("it is later than 1970").as_secs_f64()
    };
    let before = now();
    let guest: f64 = in_guest(home, "date +%s.%N")
        .trim_end()
        .parse()
        .expect("a number");
    let after = now();
    if guest < before {
        before - guest
    } else {
        (guest - after).max(0.0)
    }
}

fn is_right(home: &Home) {
    eventually("the guest's clock is right", SET, || {
        (distance(home) < TOLERANCE).then_some(())
    });
}

fn stepped() {
    shared::with(|home, _| {
        is_right(home);
        in_guest(home, "date --set=2031-02-03");
        is_right(home);
        in_guest(home, "date --set=2020-02-03");
        is_right(home);
        let log = home.machine_dir(NAME).join("events.jsonl");
        let text = fs_err::read_to_string(log).expect("there are events");
        let steps: Vec<i64> = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|event| event["event"] == "clock-set")
            .filter_map(|event| event["by_ms"].as_i64())
            .collect();
        let year = 365 * 86_400_000;
        assert!(steps.iter().any(|by| *by < -year), "{steps:?}");
        assert!(steps.iter().any(|by| *by > year), "{steps:?}");
    });
}

/// Every file of the machine and the times in them are of a century to come, as after a clock that was ahead.
fn put_back() {
    const FUTURE: &str = "2126-02-03T04:05:06Z";
    let home = Home::new("future");
    home.init_stub("m", &[]);
    let ask = |words: &[&str]| home.machine(words, BOOT).succeeded();
    let directory = home.machine_dir("m");
    let was_ready = "{\"time\":\"2026-01-01T00:00:00Z\",\"event\":\"ready\"}\n";
    fs_err::write(directory.join("events.jsonl"), was_ready).expect("it is ours");
    let put = |name: &str, key: &str| {
        let path = directory.join(name);
        let text = fs_err::read_to_string(&path).expect("it was made");
        let line = |line: &str| match line.split_once(key) {
            Some((before, behind)) => {
                let (_, behind) = behind.split_once('Z').expect("a time in UTC");
                format!("{before}{key}{FUTURE}{behind}\n")
            }
            None => format!("{line}\n"),
        };
        let text: String = text.lines().map(line).collect();
        assert!(text.contains(FUTURE), "{name}: {text}");
        fs_err::write(&path, text).expect("it is ours");
    };
    put("machine.toml", "created = \"");
    put("events.jsonl", "\"time\":\"");
    fs_err::write(directory.join("last-up"), format!("{FUTURE}\n")).expect("it is ours");
    let touch = "find \"$0\" -exec touch --no-dereference --date=\"$1\" {} +";
    let mut touched = Command::new("sh");
    touched.args(["-c", touch]).arg(home.path()).arg(FUTURE);
    run(&mut touched, b"", SOON).succeeded();

    let ago = ask(&["list", "--format", "{{.Created}}, {{.LastUp}}"]);
    assert_eq!(ago.trim(), "Less than a second ago, Less than a second ago");
    assert_eq!(home.listed("m", "Created"), FUTURE);
    let created = ask(&["inspect", "--format", "{{.State}} {{.Created}}", "m"]);
    assert!(created.starts_with("stopped 2126-02-03 "), "{created}");
    let images = ask(&["image", "list", "--format", "json"]);
    serde_json::from_str::<Value>(&images).expect("JSON");
    let events = ask(&["events", "m"]);
    assert!(events.contains("2126-02-03"), "{events}");
    // Nothing is wrong with this machine.
    let doctor = home.machine(&["doctor", "--format", "json"], SOON).text();
    let found: Value = serde_json::from_str(&doctor).expect("JSON");
    let found = found.as_array().expect("a list").iter();
    let mut of_it = found.filter(|finding| finding["Machine"] == "m").peekable();
    assert!(of_it.peek().is_some(), "{doctor}");
    assert!(of_it.all(|finding| finding["Severity"] == "ok"), "{doctor}");

    ask(&["start", "m"]);
    assert_eq!(home.listed("m", "Health"), "healthy");
    assert_eq!(ask(&["exec", "m", "echo", "here"]), "here\n");
    ask(&["stop", "m"]);
    // It was up just now, and that is what is told.
    let up = home.listed("m", "LastUp");
    assert!(!up.to_string().contains("2126"), "{up}");
    // New events are at the end, whatever their times.
    let log = fs_err::read_to_string(directory.join("events.jsonl")).expect("there is one");
    let last = log.lines().last().expect("it has lines");
    assert!(
        last.contains("\"stopped\"") && !last.contains("2126"),
        "{last}"
    );
}
