//! From `init` to `rm`, and commands that are given twice.

use super::{Bench, NAME};

/// Two starts, since the first one is the guest's first boot.
pub(super) fn whole(bench: &impl Bench) {
    bench.init();
    bench.is_down();
    for _ in 0..2 {
        let said = bench.machine(&["start", NAME]);
        let last = format!("Machine \"{NAME}\" started successfully\n");
        assert!(said.ends_with(&last), "{said}");
        bench.works();
        bench.machine(&["stop", NAME]);
        bench.is_down();
    }
    bench.machine(&["start", NAME]);
    let error = bench.refuses(&["rm", NAME]);
    assert!(error.contains("cannot be destroyed"), "{error}");
    bench.works();
    bench.machine(&["rm", "--force", NAME]);
    bench.is_left_clean();
}

pub(super) fn repeated(bench: &impl Bench) {
    bench.init();
    bench.machine(&["stop", NAME]);
    bench.machine(&["start", NAME]);
    let vm = bench.vm();
    let error = bench.refuses(&["start", NAME]);
    assert!(error.contains("already running"), "{error}");
    assert_eq!(bench.vm(), vm);
    bench.works();
    for _ in 0..2 {
        bench.machine(&["stop", NAME]);
        bench.is_down();
    }
    bench.machine(&["rm", "--force", NAME]);
    let error = bench.refuses(&["rm", NAME]);
    assert!(error.contains("VM does not exist"), "{error}");
    // Its name is free.
    bench.init();
    bench.is_down();
}
