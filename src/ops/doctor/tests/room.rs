//! What disks may still grow, and what is free.

use super::super::look::{DataDiskFacts, DiskState};
use super::facts::{facts_of_a_sound_one, judged};
use crate::machine::DataDisk;

/// 100 GiB of data, of which 30 are written; the other disk has 20 GiB, of which 5 are.
#[test]
fn both_disks_may_grow() {
    let seen = |free: u64, elsewhere: Option<(&str, u64)>| {
        let mut facts = facts_of_a_sound_one();
        if let Ok(config) = &mut facts.config {
            config.resources.disk_gib = 100;
            config.data_disk = Some(match elsewhere {
                None => DataDisk::Own,
                Some((path, _)) => DataDisk::At(path.into()),
            });
        }
        facts.disks[0].1 = DiskState::Fit(5 << 30);
        facts.free = Some(free);
        facts.data_disk = Some(DataDiskFacts {
            allocated: 30 << 30,
            elsewhere: elsewhere.map(|(path, free)| (path.into(), Some(free))),
        });
        facts
    };
    let both = 85 << 30;
    assert_eq!(judged(&seen(both, None)), [] as [&str; 0]);
    assert_eq!(judged(&seen(both - 1, None)), ["disk-space"]);
    let (os, data) = (15 << 30, 70 << 30);
    let at = |free| Some(("/other/d", free));
    assert_eq!(judged(&seen(os, at(data))), [] as [&str; 0]);
    assert_eq!(judged(&seen(os - 1, at(data))), ["disk-space"]);
    assert_eq!(judged(&seen(os, at(data - 1))), ["disk-space"]);
    // One that is missing is no room that is taken.
    let mut gone = seen(os, at(0));
    gone.data_disk = None;
    assert_eq!(judged(&gone), [] as [&str; 0]);
    gone.free = Some(os - 1);
    assert_eq!(judged(&gone), ["disk-space"]);
}
