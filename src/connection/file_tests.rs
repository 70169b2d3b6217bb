//! Tests of the file in temporary directories.

use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::connection::Connection;

fn file(directory: &TempDir) -> ConnectionsFile {
    ConnectionsFile::at(directory.path().join("containers").join(NAME))
}

fn add(file: &ConnectionsFile, name: &str) -> Result<(), ConnectionError> {
    file.edit(|connections| {
        connections.insert(name, Connection::to("tcp://h:1"));
        Ok(())
    })
}

fn with_content(text: &str) -> (TempDir, ConnectionsFile) {
    let directory = TempDir::new().unwrap();
    let file = file(&directory);
    fs::create_dir(file.path().parent().unwrap()).unwrap();
    fs::write(file.path(), text).unwrap();
    (directory, file)
}

#[test]
fn places() {
    let located = |set: &[(&str, &str)]| {
        let env = |name: &str| {
            let found = set.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| OsString::from(value))
        };
        ConnectionsFile::locate(&env)
    };
    let home = if cfg!(windows) {
        ("APPDATA", r"C:\h")
    } else {
        ("XDG_CONFIG_HOME", "/h")
    };
    let expected = Path::new(home.1).join("containers").join(NAME);
    // MACHINE_HOME moves machines, never podman's file.
    let set = [home, ("MACHINE_HOME", "/m"), (PODMAN_CONNECTIONS_CONF, "")];
    assert_eq!(located(&set).unwrap().path(), expected);
    let set = [(PODMAN_CONNECTIONS_CONF, "c.json")];
    assert_eq!(located(&set).unwrap().path(), Path::new("c.json"));
    let error = located(&[]).unwrap_err();
    assert!(matches!(error, ConnectionError::Place { .. }), "{error}");
    assert!(!error.hints().is_empty());
}

#[test]
fn a_missing_file_is_empty_and_reading_makes_nothing() {
    let directory = TempDir::new().unwrap();
    let file = file(&directory);
    assert_eq!(file.read().unwrap(), Connections::default());
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    // A change that changes nothing makes no file either.
    file.edit(|_| Ok(())).unwrap();
    assert!(!file.path().exists());
}

#[test]
fn what_is_written_is_podmans_form() {
    let directory = TempDir::new().unwrap();
    let file = file(&directory);
    add(&file, "a").unwrap();
    assert_eq!(
        fs::read_to_string(file.path()).unwrap(),
        "{\"Connection\":{\"Default\":\"a\",\"Connections\":{\"a\":{\"URI\":\"tcp://h:1\"}}},\"Farm\":{}}\n"
    );
    file.edit(|connections| {
        connections.insert("<&>", Connection::to("x:&"));
        Ok(connections.remove("a"))
    })
    .unwrap();
    assert_eq!(
        fs::read_to_string(file.path()).unwrap(),
        "{\"Connection\":{\"Connections\":{\"\\u003c\\u0026\\u003e\":{\"URI\":\"x:\\u0026\"}}},\"Farm\":{}}\n"
    );
    assert!(file.read().unwrap().get("<&>").is_some());
    let mut left: Vec<_> = fs::read_dir(file.path().parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, [NAME, "podman-connections.json.lock"]);
}

#[cfg(unix)]
#[test]
fn modes_are_podmans() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_directory, file) = with_content("{}");
    fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o400)).unwrap();
    add(&file, "a").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(file.path()), 0o644);
    assert_eq!(mode(&file.lock_path()) & !0o644, 0);
}

#[test]
fn a_failed_change_leaves_the_file() {
    let (_directory, file) = with_content(r#"{"Connection":{"Default":"x"}}"#);
    let result = file.edit(|connections| {
        connections.remove_all();
        Err::<(), _>(ConnectionError::NotDefined {
            name: "x".to_owned(),
        })
    });
    assert!(result.is_err());
    assert_eq!(
        fs::read_to_string(file.path()).unwrap(),
        r#"{"Connection":{"Default":"x"}}"#
    );
}

#[test]
fn damaged_and_unknown_files_are_told_and_kept() {
    for text in [
        "",
        "{",
        "not json",
        "{\"Connection\":{\"Default\":\"a\"}",
        "{}{}",
        "\u{0}",
    ] {
        let (_directory, file) = with_content(text);
        let error = add(&file, "a").unwrap_err();
        assert!(
            matches!(error, ConnectionError::Damaged { .. }),
            "{text}: {error}"
        );
        assert!(error.hints()[0].contains("move it away"), "{error}");
        assert_eq!(fs::read_to_string(file.path()).unwrap(), text);
    }
    let text = r#"{"Connection":{"Connections":[{"Name":"a"}]},"Version":2}"#;
    let (_directory, file) = with_content(text);
    let error = add(&file, "a").unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("`Connection.Connections` is a list, not an object"),
        "{error}"
    );
    assert!(error.hints()[0].contains("newer"), "{error}");
    assert_eq!(fs::read_to_string(file.path()).unwrap(), text);
}

/// Found by fuzzing: the quick way to read a number may miss its last digit, and each change would move it on.
#[test]
fn numbers_of_others_stay_the_same() {
    let text = r#"{"":{"x":2222222220222222222222222222222222222}}"#;
    let (_directory, file) = with_content(text);
    let number = || {
        let text = fs::read_to_string(file.path()).unwrap();
        let key = text.rfind("\"x\":").unwrap() + 4;
        let number = text[key..].trim_start();
        let end = number.find(|c: char| !c.is_ascii_digit() && !"+-.e".contains(c));
        number[..end.unwrap()].parse::<f64>().unwrap()
    };
    // Rust's own reading is exact.
    let before = number();
    add(&file, "a").unwrap();
    add(&file, "b").unwrap();
    assert_eq!(number().to_bits(), before.to_bits());
}

#[test]
fn what_is_no_file_is_neither_read_nor_replaced() {
    let directory = TempDir::new().unwrap();
    let file = ConnectionsFile::at(directory.path());
    let error = file.read().unwrap_err();
    assert!(matches!(error, ConnectionError::NotAFile { .. }), "{error}");
    let blocked = ConnectionsFile::at(directory.path().join("a").join(NAME));
    fs::write(directory.path().join("a"), "").unwrap();
    assert!(add(&blocked, "x").is_err());
}

#[test]
fn nobody_changes_it_while_another_does() {
    let directory = TempDir::new().unwrap();
    let file = file(&directory);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let file = &file;
            scope.spawn(move || {
                for number in 0..10 {
                    add(file, &format!("c{thread}-{number}")).unwrap();
                }
            });
        }
    });
    assert_eq!(file.read().unwrap().iter().count(), 80);
}

#[test]
fn a_reader_needs_no_lock() {
    let directory = TempDir::new().unwrap();
    let file = file(&directory);
    add(&file, "a").unwrap();
    let _lock = RecordLock::acquire(&file.lock_path(), Duration::from_secs(1)).unwrap();
    assert_eq!(file.read().unwrap().iter().count(), 1);
}
