//! What every provider of machines passes: one list of tests, played by the `machine` program's users.
//!
//! A provider joins by a [`Bench`], which says how its machines come to be where the tests run. What a machine may do
//! differently follows from the provider's `Capabilities` alone; a case asks them and never the provider's name.
//!
//! | | `tests/fakes/vfkit` | `tests/fakes/wsl` | `tests/e2e` |
//! |---|---|---|---|
//! | providers | vfkit, krunkit | WSL | QEMU |
//! | guest | the real agent beside the stand-in | the real agent in namespaces | the stub guest |
//!
//! What `tests/e2e` asks of QEMU with the real guest anyway is named in the list, and played with the stub by `make full`
//! alone.

mod bench;
mod changes;
mod ends;
mod life;
mod starts;

use std::panic::AssertUnwindSafe;

use libtest_mimic::{Failed, Trial};

pub(crate) use bench::Bench;

/// The name of the machine.
pub(crate) const NAME: &str = "m";

/// A promise.
struct Case<B> {
    /// What it is called.
    name: &'static str,
    /// How it is tried.
    play: fn(&B),
    /// The test of `tests/e2e` that has it, and more of it, with QEMU and the real guest.
    elsewhere: Option<&'static str>,
}

/// The list.
fn cases<B: Bench>() -> Vec<Case<B>> {
    let case = |name, play, elsewhere| Case {
        name,
        play,
        elsewhere,
    };
    let life = Some("life::followed_from_init_to_rm");
    let deaths = Some("deaths::of_a_few_processes");
    let takeover = Some("takeover::by_a_command_and_by_another_build");
    let sleep = Some("deaths::all_but_the_supervisor_sleep");
    let commands = Some("commands::two_hundred_at_once");
    let changes = Some("commands::set_foreground_restart_and_all_in_a_home_with_blanks");
    let data = Some("data::it_survives_a_new_operating_system_and_a_new_machine");
    vec![
        case("a_machine_lives_and_leaves_nothing", life::whole, life),
        case("commands_may_be_repeated", life::repeated, commands),
        case("a_stop_asks_and_then_insists", ends::ladder, None),
        case(
            "a_vm_that_dies_is_told_and_starts_again",
            ends::killed,
            deaths,
        ),
        case(
            "a_vm_outlives_its_supervisor_or_is_told",
            ends::adopted,
            takeover,
        ),
        case(
            "a_vm_without_a_supervisor_is_stopped",
            ends::adopted_to_stop,
            deaths,
        ),
        case(
            "a_vm_that_stands_still_is_not_given_up",
            ends::paused,
            sleep,
        ),
        case("a_launch_that_dies_is_told", starts::dies, None),
        case(
            "a_start_that_is_interrupted_leaves_nothing",
            starts::interrupted,
            None,
        ),
        case(
            "a_launch_without_its_supervisor_leaves_nothing",
            starts::orphaned,
            None,
        ),
        case(
            "a_launch_without_its_supervisor_is_removed",
            starts::orphaned_and_removed,
            None,
        ),
        case("a_start_goes_on_without_its_command", starts::left, None),
        case(
            "resources_change_or_are_refused",
            changes::resources,
            changes,
        ),
        case(
            "a_disk_is_made_anew_or_that_is_refused",
            changes::recreated,
            data,
        ),
    ]
}

/// The tests of one provider: every case with a bench of its own. Those that are played elsewhere are left to whoever asks
/// for ignored tests, where `all` is false.
pub(crate) fn trials<B: Bench + 'static>(
    provider: &str,
    all: bool,
    make: fn(&str) -> B,
) -> Vec<Trial> {
    let played = |(number, case): (usize, Case<B>)| {
        let place = format!("{provider}{number}");
        let name = format!("contract::{provider}::{}", case.name);
        let played = trial(&name, move || {
            let bench = make(&place);
            (case.play)(&bench);
            bench.is_left_clean();
        });
        played.with_ignored_flag(!all && case.elsewhere.is_some())
    };
    cases().into_iter().enumerate().map(played).collect()
}

/// A test by its function.
pub(crate) fn trial(name: &str, test: impl FnOnce() + Send + 'static) -> Trial {
    Trial::test(name, move || {
        let ended = std::panic::catch_unwind(AssertUnwindSafe(test));
        ended.map_err(|panic| Failed::from(said(&*panic)))
    })
}

/// What a panic says.
fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    text.unwrap_or_else(|| "the test panicked".to_owned())
}
