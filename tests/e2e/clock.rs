//! The guest's clock follows the host's, whatever happens to it. What a sleep of the host does is in
//! [`deaths`](crate::deaths).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use libtest_mimic::Trial;
use serde_json::Value;

use crate::support::command::eventually;
use crate::support::home::{Home, SOON};
use crate::support::shared::{self, NAME};
use crate::support::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial("clock::a_stepped_clock_is_set_back", stepped)]
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
