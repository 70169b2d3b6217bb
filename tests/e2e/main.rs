//! End-to-end tests on a real guest: real QEMU, real Ignition and Podman, real clients.
//!
//! `tests/run-e2e` prepares the stage (programs, guest image, clients) and runs this as an ordinary user; see
//! [`support::stage`] for what it expects. Nothing is skipped: a missing part fails the run.
//!
//! Tests that only read share one booted machine, which costs 20 s of emulated boot; tests that change a machine's life
//! have one of their own. These are the two [`Lane`]s. A lane drives one guest at a time, which keeps about one processor
//! busy, so `tests/run-e2e` runs both side by side, each in a process of its own.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test says by a panic what is wrong; this is one, though it brings its own main"
)]

use std::process::ExitCode;

mod bad_input;
mod carry;
mod clock;
mod commands;
#[path = "../support/mod.rs"]
mod common;
#[path = "../contract/mod.rs"]
mod contract;
mod data_disk;
mod deaths;
mod exec;
mod facts;
mod folders;
mod host_disk;
mod images;
mod injury;
mod life;
mod many;
mod network;
mod provider;
mod same_as_podman;
mod service;
mod start_failures;
mod support;
mod takeover;
mod tour;
mod twenty;
mod use_engine;
mod users;

use libtest_mimic::{Arguments, Trial};
use support::lane::Lane;
use support::shared::Carrier;
use support::stage::Stage;

fn main() -> ExitCode {
    support::name_server::play();
    if support::intruder::plays() {
        return ExitCode::SUCCESS;
    }
    let mut arguments = Arguments::from_args();
    let lane = Lane::asked_for();
    if arguments.list {
        return libtest_mimic::run(&arguments, trials(lane)).exit_code();
    }
    // Most tests drive an emulated guest; more of them at once would only time each other out.
    arguments.test_threads = Some(1);
    Stage::check();
    machine_host::limits::raise_open_files().expect("a test that holds 2,000 sockets needs them");
    let conclusion = libtest_mimic::run(&arguments, trials(lane));
    for carrier in [Carrier::VirtioSerial, Carrier::Vsock] {
        if let Err(problem) = support::shared::dispose(carrier) {
            support::tell(&format!(
                "A shared machine left something behind: {problem}"
            ));
            return ExitCode::FAILURE;
        }
    }
    for (name, took) in support::slowest(10) {
        support::tell(&format!("{:6.1} s  {name}", took.as_secs_f64()));
    }
    conclusion.exit_code()
}

/// The tests of a lane, or of both one after the other.
fn trials(lane: Option<Lane>) -> Vec<Trial> {
    match lane {
        Some(Lane::Shared) => on_the_shared_machine(),
        Some(Lane::Own) => on_machines_of_their_own(),
        None => {
            let mut trials = on_the_shared_machine();
            trials.extend(on_machines_of_their_own());
            trials
        }
    }
}

fn on_the_shared_machine() -> Vec<Trial> {
    let mut trials = use_engine::trials();
    trials.extend(carry::trials());
    trials.extend(exec::trials());
    trials.extend(clock::trials());
    trials.extend(bad_input::trials());
    trials.extend(commands::trials());
    trials.extend(deaths::shared_trials());
    trials.extend(tour::trials());
    trials.push(support::trial(
        "shared::removing_the_machine_leaves_nothing",
        || {
            support::shared::dispose(Carrier::VirtioSerial).expect("nothing is left");
        },
    ));
    // With a machine of its own, and longer than anything else.
    trials.extend(deaths::trials());
    trials.extend(carry::over_vsock());
    trials.extend(twenty::trials());
    trials.extend(host_disk::trials());
    trials
}

/// Some of these need no guest at all.
fn on_machines_of_their_own() -> Vec<Trial> {
    let mut trials = images::trials();
    trials.extend(same_as_podman::trials());
    trials.extend(start_failures::trials());
    trials.extend(life::trials());
    trials.extend(takeover::trials());
    trials.extend(service::trials());
    trials.extend(users::trials());
    trials.extend(commands::own_trials());
    trials.extend(facts::trials());
    trials.extend(network::trials());
    trials.extend(many::trials());
    trials.extend(clock::own_trials());
    trials.extend(deaths::own_trials());
    trials.extend(provider::trials());
    trials.extend(folders::trials());
    trials.extend(data_disk::trials());
    trials.extend(injury::trials());
    trials
}
