//! Podman's file of connections, as any program may have left it: read, changed, and changed back.

#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use machine::connection::{Connection, ConnectionsFile};
use serde_json::Value;

struct Place {
    _directory: tempfile::TempDir,
    file: PathBuf,
}

static PLACE: LazyLock<Place> = LazyLock::new(|| {
    let directory = tempfile::tempdir().expect("a directory");
    Place {
        file: directory.path().join("connections.json"),
        _directory: directory,
    }
});

/// What stands for nothing may be left out.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(items) => items.values().all(is_nothing),
        _ => false,
    }
}

/// Whatever is in `old` is in `new`.
fn survives(old: &Value, new: &Value) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for (key, value) in old.iter().filter(|(_, value)| !is_nothing(value)) {
                survives(
                    value,
                    new.get(key).unwrap_or_else(|| panic!("`{key}` is gone")),
                );
            }
        }
        _ => assert_eq!(old, new),
    }
}

fuzz_target!(|input: &[u8]| {
    std::fs::write(&PLACE.file, input).expect("a file");
    let file = ConnectionsFile::at(&PLACE.file);
    let Ok(before) = file.read() else {
        let refused = file.edit(|connections| {
            connections.insert("x", Connection::to("unix:///x"));
            Ok(())
        });
        assert!(refused.is_err());
        assert_eq!(std::fs::read(&PLACE.file).expect("a file"), input);
        return;
    };
    if before.get("x").is_some() {
        return;
    }
    let added = file.edit(|connections| {
        connections.insert("x", Connection::to("unix:///x?<&>"));
        Ok(())
    });
    added.expect("it can be changed");
    let after = file.read().expect("what is written is read");
    assert_eq!(after.get("x"), Some(&Connection::to("unix:///x?<&>")));
    let mut old: Value = serde_json::from_slice(input).expect("it was read");
    if before.iter().count() == 0 {
        // The first connection is the default, whatever was it before.
        old["Connection"]["Default"] = Value::Null;
    }
    let new = std::fs::read(&PLACE.file).expect("a file");
    survives(&old, &serde_json::from_slice(&new).expect("it was read"));

    let removed = file.edit(|connections| Ok(connections.remove("x")));
    assert!(removed.expect("it can be changed"));
    let again = file.read().expect("what is written is read");
    for (name, connection) in before.iter() {
        assert_eq!(again.get(name), Some(connection));
    }
    assert_eq!(again.iter().count(), before.iter().count());
    if before.iter().count() != 0 && before.default_name().is_some_and(|name| name != "x") {
        assert_eq!(again.default_name(), before.default_name());
    }
});
