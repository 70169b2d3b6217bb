//! Processes of a machine are killed, alone and in pairs, in every phase of its life.
//!
//! [`table`] says who and when, [`bed`] what must hold after it; docs/architecture.md tells what comes of each. `make full`
//! and `make torture` play all rows: `MACHINE_DEATHS_SEED` decides their order and moments, `MACHINE_DEATHS_ROWS` how many.

mod bed;
mod sleep;
mod table;

use std::fmt::Display;
use std::panic::AssertUnwindSafe;

use libtest_mimic::Trial;

use crate::support::{for_full, said, trial};
use bed::Bed;

/// On machines of their own.
pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = vec![trial("deaths::of_a_few_processes", few)];
    trials.extend(for_full(vec![trial("deaths::of_all_processes", all)]));
    trials
}

/// On the shared machine.
pub(crate) fn shared_trials() -> Vec<Trial> {
    sleep::trials()
}

fn few() {
    let mut bed = Bed::new("deaths", 1);
    for case in table::quick() {
        tell(&case);
        bed.play(&case);
    }
    bed.home.dispose().expect("nothing is left");
}

/// A row that fails is told with the others, and the next ones are played on a new machine.
fn all() {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let seed = number("MACHINE_DEATHS_SEED").unwrap_or(1);
    let rows = number("MACHINE_DEATHS_ROWS").map_or(usize::MAX, |rows| {
        usize::try_from(rows).unwrap_or(usize::MAX)
    });
    let mut failed = Vec::new();
    let mut played = 0;
    let mut bed = Bed::new("deaths", seed);
    for (at, case) in table::all(seed).into_iter().take(rows).enumerate() {
        tell(&case);
        let result = std::panic::catch_unwind(AssertUnwindSafe(|| bed.play(&case)));
        played += 1;
        if let Err(panic) = result {
            failed.push(format!("{case}: {}", said(&*panic)));
            bed.home.dispose().expect("what failed can be removed");
            bed = Bed::new("deaths", seed.wrapping_add(at as u64));
        }
    }
    bed.home.dispose().expect("nothing is left");
    assert!(
        failed.is_empty(),
        "seed {seed}: of {played} rows {} failed:\n{}",
        failed.len(),
        failed.join("\n")
    );
}

/// What is going on, before it fails or hangs.
#[expect(clippy::print_stderr, reason = "the report of a long test")]
fn tell(what: &dyn Display) {
    eprintln!("deaths: {what}");
}
