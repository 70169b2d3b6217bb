//! How a VM ends, or lives on without its supervisor.

use std::time::{Duration, Instant};

use machine_host::process::ProcessIdentity;

use super::{Bench, NAME};
use crate::common::SOON;
use crate::common::command::{eventually, run};

/// The guest is asked and obeys; the hypervisor ends it; a process that does not react is killed.
pub(super) fn ladder(bench: &impl Bench) {
    bench.init();
    bench.machine(&["start", NAME]);
    bench.machine(&["stop", NAME]);
    bench.is_down();
    bench.machine(&["start", NAME]);
    bench.machine(&["stop", "--force", NAME]);
    bench.is_down();
    assert_eq!(failures(bench), 0, "all of it was wished");

    bench.machine(&["start", NAME]);
    let vm = bench.vm();
    signal(&vm, "STOP");
    let place = bench.place();
    let asked = place.begin(&["stop", NAME]);
    eventually("the guest is asked", SOON, || {
        let stopping = happened(bench, "stopping") == 3;
        stopping.then_some(())
    });
    let begun = Instant::now();
    bench.machine(&["stop", "--force", NAME]);
    assert!(begun.elapsed() < SOON, "it waited for the guest");
    asked.finish(SOON).succeeded();
    assert!(!vm.is_alive());
    bench.is_down();
    bench.machine(&["start", NAME]);
    bench.works();
}

pub(super) fn killed(bench: &impl Bench) {
    bench.init();
    bench.machine(&["start", NAME]);
    bench.vm().kill().expect("it is the test's own");
    bench.is_down();
    assert_eq!(failures(bench), 1, "a death is no wish");
    bench.machine(&["start", NAME]);
    bench.works();
}

pub(super) fn adopted(bench: &impl Bench) {
    bench.init();
    bench.machine(&["start", NAME]);
    let (vm, well) = (bench.vm(), bench.listed("Health"));
    bench.supervisor().kill().expect("it is the test's own");
    if !bench.capabilities().can_attach {
        bench.is_down();
        bench.machine(&["start", NAME]);
        bench.works();
        return;
    }
    eventually("it is told", SOON, || {
        (bench.listed("Health") == "unmanaged").then_some(())
    });
    assert_eq!(bench.listed("Running"), true);
    assert!(vm.is_alive());
    let error = bench.refuses(&["rm", NAME]);
    assert!(error.contains("cannot be destroyed"), "{error}");
    for round in 0..2 {
        bench.run(&["start", NAME]);
        assert_eq!(bench.vm(), vm, "another VM");
        eventually("all is well", SOON, || {
            (bench.listed("Health") == well).then_some(())
        });
        bench.works();
        if round == 0 {
            // One that was taken over is lost once more.
            bench.supervisor().kill().expect("it is the test's own");
        }
    }
    bench.machine(&["stop", NAME]);
    assert!(!vm.is_alive());
    bench.is_down();
    assert_eq!(failures(bench), 0);
}

pub(super) fn adopted_to_stop(bench: &impl Bench) {
    bench.init();
    bench.machine(&["start", NAME]);
    let vm = bench.vm();
    bench.supervisor().kill().expect("it is the test's own");
    bench.machine(&["stop", NAME]);
    assert!(!vm.is_alive());
    bench.is_down();
    // One that dies before anybody takes it over is stopped, and nothing else is to be done.
    bench.machine(&["start", NAME]);
    let vm = bench.vm();
    bench.supervisor().kill().expect("it is the test's own");
    vm.kill().expect("it is the test's own");
    eventually("it is told", SOON, || {
        (bench.listed("Running") == false).then_some(())
    });
    bench.machine(&["start", NAME]);
    bench.works();
}

pub(super) fn paused(bench: &impl Bench) {
    bench.init();
    bench.machine(&["start", NAME]);
    let (vm, well) = (bench.vm(), bench.listed("Health"));
    signal(&vm, "STOP");
    // Longer than a look at the guest's clock takes.
    let until = Instant::now() + Duration::from_secs(12);
    while Instant::now() < until {
        assert_eq!(bench.listed("Running"), true);
        std::thread::park_timeout(Duration::from_secs(1));
    }
    signal(&vm, "CONT");
    bench.works();
    assert_eq!(bench.vm(), vm);
    assert_eq!(bench.listed("Health"), well);
    if bench.pause(true) {
        eventually("the pause is told", SOON, || {
            (bench.listed("Health") == "degraded").then_some(())
        });
        assert_eq!(bench.listed("Running"), true);
        assert!(bench.pause(false));
        eventually("the pause is over", SOON, || {
            (bench.listed("Health") == well).then_some(())
        });
        bench.works();
        // Nobody sees it begin, nobody sees it end.
        bench.pause(true);
        bench.supervisor().kill().expect("it is the test's own");
        bench.run(&["start", NAME]);
        assert_eq!(bench.listed("Health"), "degraded");
        bench.pause(false);
        eventually("the pause is over", SOON, || {
            (bench.listed("Health") == well).then_some(())
        });
        bench.works();
    }
    assert_eq!(bench.vm(), vm);
    bench.machine(&["stop", NAME]);
    bench.is_down();
    assert_eq!(failures(bench), 0);
}

fn signal(process: &ProcessIdentity, name: &str) {
    let mut kill = std::process::Command::new("kill");
    kill.args([format!("-{name}"), process.pid.to_string()]);
    run(&mut kill, b"", SOON).succeeded();
}

/// How often a start or a running machine has failed.
fn failures(bench: &impl Bench) -> usize {
    happened(bench, "failed")
}

fn happened(bench: &impl Bench, what: &str) -> usize {
    let log = bench.place().machine_dir(NAME).join("events.jsonl");
    let log = fs_err::read_to_string(log).unwrap_or_default();
    log.matches(&format!("\"event\":\"{what}\"")).count()
}
