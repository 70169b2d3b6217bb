//! A machine's file, as a person, another release or a broken disk may have left it: read, and changed.

#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use machine::machine::MachineName;
use machine::store::{Store, StoreError};
use machine_host::directories::Directories;

const GOOD: [&str; 3] = [
    include_str!("../../golden/store/machine-1.0.toml"),
    include_str!("../../golden/store/machine-1.7.toml"),
    include_str!("../../golden/store/newer-minor.toml"),
];

struct Place {
    _directory: tempfile::TempDir,
    store: Store,
    file: PathBuf,
}

static PLACE: LazyLock<Place> = LazyLock::new(|| {
    let directory = tempfile::tempdir().expect("a directory");
    let root = directory.path();
    let store = Store::open(&Directories {
        data: root.join("d"),
        config_file: root.join("config.toml"),
        short_sockets: root.join("s"),
        home: root.to_owned(),
    });
    let machine = store.directory().join("dev");
    std::fs::create_dir_all(&machine).expect("a directory");
    Place {
        file: machine.join("machine.toml"),
        _directory: directory,
        store,
    }
});

/// A good file with a line of the input in it, in the place of a line or between two; or the input as it is.
fn document(kind: u8, input: &[u8]) -> Vec<u8> {
    let good = GOOD.get(usize::from(kind) / 2);
    let (Some(good), Some((at, line))) = (good, input.split_first()) else {
        return input.to_vec();
    };
    let mut lines: Vec<&[u8]> = good.lines().map(str::as_bytes).collect();
    let at = usize::from(*at) % lines.len();
    if kind % 2 == 0 {
        lines[at] = line;
    } else {
        lines.insert(at, line);
    }
    lines.join(&b'\n')
}

/// Whatever is in `old` and unknown is in `new`.
fn survives(old: &toml::Table, new: &toml::Table, known: &toml::Table) {
    for (key, value) in old {
        let found = new.get(key).unwrap_or_else(|| panic!("`{key}` is gone"));
        match (value, found, known.get(key)) {
            (toml::Value::Table(old), toml::Value::Table(new), Some(toml::Value::Table(known))) => {
                survives(old, new, known);
            }
            // The program's own.
            (_, _, Some(_)) => {}
            // Debug, for no number that is none equals itself.
            _ => assert_eq!(format!("{value:?}"), format!("{found:?}"), "`{key}`"),
        }
    }
}

fn table(bytes: &[u8]) -> toml::Table {
    let text = std::str::from_utf8(bytes).expect("it was read as text");
    toml::from_str(text).expect("it was read as TOML")
}

fuzz_target!(|input: &[u8]| {
    let Some((kind, input)) = input.split_first() else {
        return;
    };
    let name = MachineName::parse("dev").expect("a name");
    let old = document(*kind, input);
    std::fs::write(&PLACE.file, &old).expect("a file");
    let Ok(before) = PLACE.store.load(&name) else {
        return;
    };
    let guard = PLACE.store.edit(&name).expect("nobody else is here");
    let changed = guard.update(|config| {
        config.rootful = !config.rootful;
        config.swap_mib = 7;
        Ok::<(), StoreError>(())
    });
    let new = std::fs::read(&PLACE.file).expect("a file");
    match changed {
        Ok(config) => {
            assert_eq!(config.rootful, !before.config.rootful);
            let again = PLACE.store.load(&name).expect("what is written is read");
            assert_eq!(again.config, config);
            survives(&table(&old), &table(&new), &table(GOOD[1].as_bytes()));
        }
        Err(_) => assert_eq!(new, old, "a change that fails changes nothing"),
    }
});
