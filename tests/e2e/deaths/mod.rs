//! Processes of a machine are killed, alone and in pairs, in every phase of its life.
//!
//! [`table`] says who and when, [`bed`] what must hold after it, [`guest`] where; docs/architecture.md tells what comes of
//! each. `make full` and `make torture` play all rows: `MACHINE_DEATHS_SEED` decides their order and moments,
//! `MACHINE_DEATHS_ROWS` how many.

mod bed;
mod guest;
mod sleep;
mod table;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::panic::AssertUnwindSafe;

use libtest_mimic::Trial;

use crate::support::{for_full, said, trial};
use bed::Bed;
use guest::Guest;
use table::Case;

/// Rows with the stub guest in every run.
const MANY: usize = 10;
/// And when all are asked for.
const HUNDREDS: usize = 300;

/// With the stub guest.
pub(crate) fn own_trials() -> Vec<Trial> {
    vec![trial("deaths::of_many_processes", many)]
}

/// On machines of their own.
pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = vec![trial("deaths::of_a_few_processes", few)];
    trials.extend(for_full(vec![
        trial("deaths::of_all_processes", || all(Guest::Real)),
        trial("deaths::of_all_processes_hundreds_of_times", || {
            all(Guest::Stub);
        }),
    ]));
    trials
}

/// On the shared machine.
pub(crate) fn shared_trials() -> Vec<Trial> {
    sleep::trials()
}

fn few() {
    let mut bed = Bed::new(Guest::Real, "deaths", 1);
    for case in table::quick() {
        tell(&case);
        bed.play(&case);
    }
    bed.home.dispose().expect("nothing is left");
}

/// Where the guest is up in seconds.
fn many() {
    let played = play_all(Guest::Stub, 1, table::all(1).into_iter().take(MANY));
    played.report();
}

/// With an order and moments that are asked for. Where the table ends, it begins again in another order.
fn all(guest: Guest) {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let seed = number("MACHINE_DEATHS_SEED").unwrap_or(1);
    let once = table::all(seed).len();
    let rows = number("MACHINE_DEATHS_ROWS").and_then(|rows| usize::try_from(rows).ok());
    let rows = rows.unwrap_or(match guest {
        Guest::Real => once,
        Guest::Stub => HUNDREDS,
    });
    let tables = (seed..).flat_map(table::all).take(rows);
    play_all(guest, seed, tables).report();
}

/// What came of a table.
struct Played {
    seed: u64,
    rows: Vec<Case>,
    failed: Vec<String>,
}

/// A row that fails is told with the others, and the next ones are played on a new machine.
fn play_all(guest: Guest, seed: u64, cases: impl Iterator<Item = Case>) -> Played {
    let mut played = Played {
        seed,
        rows: Vec::new(),
        failed: Vec::new(),
    };
    let name = match guest {
        Guest::Real => "deaths",
        Guest::Stub => "stub",
    };
    let mut bed = Bed::new(guest, name, seed);
    for (at, case) in cases.enumerate() {
        tell(&format!("{}: {case}", at + 1));
        let result = std::panic::catch_unwind(AssertUnwindSafe(|| bed.play(&case)));
        if let Err(panic) = result {
            let failed = format!("{}: {case}: {}", at + 1, said(&*panic));
            tell(&format!("FAILED: {failed}"));
            played.failed.push(failed);
            bed.home.dispose().expect("what failed can be removed");
            bed = Bed::new(guest, name, seed.wrapping_add(at as u64));
        }
        played.rows.push(case);
    }
    bed.home.dispose().expect("nothing is left");
    played
}

impl Played {
    fn report(&self) {
        let counts = |what: &dyn Fn(&Case) -> Vec<String>| {
            let mut counts = BTreeMap::<String, usize>::new();
            for key in self.rows.iter().flat_map(what) {
                *counts.entry(key).or_default() += 1;
            }
            format!("{counts:?}")
        };
        tell(&format!(
            "seed {}: {} rows, {} failed; by process {}; by phase {}",
            self.seed,
            self.rows.len(),
            self.failed.len(),
            counts(&|case| case
                .actors
                .iter()
                .map(|actor| format!("{actor:?}"))
                .collect()),
            counts(&|case| vec![format!("{:?}", case.phase)]),
        ));
        assert!(self.failed.is_empty(), "{}", self.failed.join("\n"));
    }
}

/// What is going on, before it fails or hangs.
#[expect(clippy::print_stderr, reason = "the report of a long test")]
fn tell(what: &dyn Display) {
    eprintln!("deaths: {what}");
}
