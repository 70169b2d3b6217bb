//! What a machine can be changed to, and how it is said where it cannot.

use machine::machine::DiskFormat;

use super::{Bench, NAME};

pub(super) fn resources(bench: &impl Bench) {
    bench.init();
    let own = bench.capabilities().shared_resources.is_none();
    let shown = |field: &str| {
        let format = format!("{{{{.Resources.{field}}}}}");
        let said = bench.machine(&["inspect", "--format", &format, NAME]);
        said.trim().parse::<u64>().expect("a number")
    };
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let wanted = cpus.min(2) as u64;
    let changes = [
        ("--cpus", "CPUs", wanted, own),
        ("--memory", "Memory", 700, own),
        ("--disk-size", "DiskSize", 30, !keeps_its_disks(bench)),
    ];
    for (option, field, wanted, possible) in changes {
        let before = shown(field);
        let value = wanted.to_string();
        let set = ["set", option, &value, NAME];
        if possible {
            bench.machine(&set);
            assert_eq!(shown(field), wanted);
        } else {
            let error = bench.refuses(&set);
            assert!(error.contains("not supported for"), "{option}: {error}");
            assert!(error.contains("\nhint: "), "{option}: {error}");
            assert_eq!(shown(field), before, "{option}");
        }
    }
    bench.machine(&["start", NAME]);
    let error = bench.refuses(&["set", "--memory", "800", NAME]);
    assert!(error.contains("\nhint: "), "{error}");
    bench.works();
}

pub(super) fn recreated(bench: &impl Bench) {
    bench.init();
    bench.machine(&["start", NAME]);
    bench.machine(&["stop", NAME]);
    let image = bench.image();
    if keeps_its_disks(bench) {
        for more in [&[][..], &["--discard-data"]] {
            let words = [&["recreate", "--image", &image], more, &[NAME]].concat();
            let error = bench.refuses(&words);
            assert!(error.contains("keeps its disk itself"), "{error}");
            assert!(error.contains("machine init"), "{error}");
        }
    } else {
        bench.machine(&["recreate", "--discard-data", "--image", &image, NAME]);
        bench.without_data_disk();
    }
    bench.is_down();
    bench.machine(&["start", NAME]);
    bench.works();
}

/// Whether its provider keeps the disks of its machines itself, made of trees.
fn keeps_its_disks(bench: &impl Bench) -> bool {
    bench.capabilities().disk_formats.contains(&DiskFormat::Tar)
}
