//! The event logs of a machine, the one that was set aside and the one of now.

#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use machine::ops::events::{Events, Happening};
use machine::store::Store;
use machine_host::directories::Directories;
use tokio::runtime::Runtime;

struct Place {
    directory: tempfile::TempDir,
    runtime: Runtime,
}

static PLACE: LazyLock<Place> = LazyLock::new(|| Place {
    directory: tempfile::tempdir().expect("a directory"),
    runtime: tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime"),
});

fn store(root: &Path) -> Store {
    Store::open(&Directories {
        data: root.join("d"),
        config_file: root.join("config.toml"),
        short_sockets: root.join("s"),
        home: root.to_owned(),
    })
}

/// The events in a log; what has no newline yet is none.
fn whole_lines(log: &[u8]) -> Vec<Happening> {
    let end = log.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
    let lines = log[..end].split(|byte| *byte == b'\n');
    lines
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect()
}

fuzz_target!(|input: &[u8]| {
    let Some((cut, input)) = input.split_first_chunk::<2>() else {
        return;
    };
    let cut = usize::from(u16::from_le_bytes(*cut)).min(input.len());
    let (old, new) = input.split_at(cut);
    let store = store(PLACE.directory.path());
    let machine = store.directory().join("m");
    std::fs::create_dir_all(&machine).expect("a directory");
    std::fs::write(machine.join("events.jsonl.old"), old).expect("a file");
    std::fs::write(machine.join("events.jsonl"), new).expect("a file");

    let mut expected = whole_lines(&[old, b"\n"].concat());
    expected.extend(whole_lines(new));
    for happening in &mut expected {
        "m".clone_into(&mut happening.machine);
    }
    expected.sort_by_key(|happening| happening.time);

    let mut events = Events::open(&store, &[], false).expect("the logs can be read");
    let told = PLACE.runtime.block_on(events.next()).expect("they can be");
    assert_eq!(told.unwrap_or_default(), expected);
});
