//! What the tests stand on: the stage, machines of the test's own, commands with deadlines, and a shared machine.

pub(crate) mod command;
pub(crate) mod follow;
pub(crate) mod home;
pub(crate) mod intruder;
pub(crate) mod lane;
pub(crate) mod listening;
pub(crate) mod name_server;
pub(crate) mod shared;
pub(crate) mod stage;
pub(crate) mod terminal;

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};

pub(crate) use crate::common::{api, leftovers};

/// How long each test took that has run.
static TOOK: Mutex<Vec<(String, Duration)>> = Mutex::new(Vec::new());

/// The tests that took longest, with their times.
pub(crate) fn slowest(count: usize) -> Vec<(String, Duration)> {
    let mut all = std::mem::take(&mut *TOOK.lock().unwrap_or_else(PoisonError::into_inner));
    all.sort_by_key(|(_, took)| std::cmp::Reverse(*took));
    all.truncate(count);
    all
}

/// Tells something beside the report.
#[expect(clippy::print_stderr, reason = "the runner's own report")]
pub(crate) fn tell(text: &str) {
    eprintln!("{text}");
}

/// A test by its function: the name in the report is the one given.
pub(crate) fn trial(name: &str, test: impl FnOnce() + Send + 'static) -> Trial {
    let called = name.to_owned();
    Trial::test(name, move || {
        let begun = Instant::now();
        let ended = std::panic::catch_unwind(AssertUnwindSafe(test));
        let mut took = TOOK.lock().unwrap_or_else(PoisonError::into_inner);
        took.push((called, begun.elapsed()));
        drop(took);
        ended.map_err(|panic| Failed::from(said(&*panic)))
    })
}

/// What a panic says.
pub(crate) fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    text.unwrap_or_else(|| "the test panicked".to_owned())
}

/// Tests that take too long for every run: `make full` runs them.
pub(crate) fn for_full(trials: Vec<Trial>) -> Vec<Trial> {
    let ignored = trials
        .into_iter()
        .map(|trial| trial.with_ignored_flag(true));
    ignored.collect()
}
