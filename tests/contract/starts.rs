//! Starts that do not come to their end.

use machine_host::process::ProcessIdentity;

use super::{Bench, NAME};
use crate::common::SOON;
use crate::common::command::{Running, eventually, run};

/// The VM's process is started and killed before it is of any use.
pub(super) fn dies(bench: &impl Bench) {
    bench.init();
    let (start, vm) = stalled(bench);
    vm.kill().expect("it is the test's own");
    let error = start.finish(SOON).failed();
    assert!(error.contains("\nError: "), "{error}");
    bench.is_down();
    goes_on(bench);
}

/// Ctrl-C.
pub(super) fn interrupted(bench: &impl Bench) {
    bench.init();
    let (start, vm) = stalled(bench);
    let mut kill = std::process::Command::new("kill");
    kill.args(["-INT".to_owned(), start.child.id().to_string()]);
    run(&mut kill, b"", SOON).succeeded();
    let ended = start.finish(SOON);
    assert!(ended.stderr.contains("interrupted"), "{}", ended.stderr);
    assert!(!vm.is_alive());
    bench.is_down();
    goes_on(bench);
}

/// Neither the supervisor nor anybody who asked for the start is there any more.
pub(super) fn orphaned(bench: &impl Bench) {
    bench.init();
    let vm = lost(bench);
    goes_on(bench);
    assert!(!vm.is_alive(), "two VMs have one disk");
}

pub(super) fn orphaned_and_removed(bench: &impl Bench) {
    bench.init();
    let vm = lost(bench);
    bench.machine(&["rm", "--force", NAME]);
    eventually("the VM ends", SOON, || (!vm.is_alive()).then_some(()));
    bench.is_left_clean();
}

/// The command is killed, and what it began comes to its end.
pub(super) fn left(bench: &impl Bench) {
    bench.init();
    let start = bench.place().begin(&["start", NAME]);
    let vm = eventually("the VM's process runs", SOON, || {
        bench.named(bench.program())
    });
    drop(start);
    // Whoever comes next joins it, or finds it over.
    bench.run(&["start", NAME]);
    bench.works();
    assert_eq!(bench.vm(), vm);
    bench.machine(&["stop", NAME]);
    bench.is_down();
}

/// A start whose VM's process does nothing, and that process.
fn stalled(bench: &impl Bench) -> (Running, ProcessIdentity) {
    bench.stall(true);
    let start = bench.place().begin(&["start", NAME]);
    let vm = eventually("the VM's process runs", SOON, || {
        bench.named(bench.program())
    });
    (start, vm)
}

/// The VM's process of a launch that lost everybody who could end it.
fn lost(bench: &impl Bench) -> ProcessIdentity {
    let (start, vm) = stalled(bench);
    drop(start);
    bench.supervisor().kill().expect("it is the test's own");
    eventually("the supervisor has ended", SOON, || {
        bench.named(" supervise ").is_none().then_some(())
    });
    bench.stall(false);
    vm
}

/// Without flags and further ado.
fn goes_on(bench: &impl Bench) {
    bench.stall(false);
    bench.machine(&["start", NAME]);
    bench.works();
    bench.machine(&["stop", NAME]);
    bench.is_down();
}
