//! An old program of another crate is told, instead of letting a test hang.

use std::path::Path;
use std::time::SystemTime;

use fs_err as fs;

use crate::built::is_new;

#[test]
fn a_program_that_is_missing_or_old_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    let (program, source) = (file("program"), file("a source.rs"));
    assert!(is_new(&program).is_err());
    fs::write(&program, "").unwrap();
    assert_eq!(is_new(&program), Ok(()), "a test has built it");
    let named = source.display().to_string().replace(' ', "\\ ");
    let rule = format!("{}: {named} {named}\n", program.display());
    fs::write(file("program.d"), rule).unwrap();
    fs::write(&source, "").unwrap();
    let dated = |path: &Path, seconds| {
        let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        let when = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        file.set_modified(when).unwrap();
    };
    dated(&source, 2_000);
    dated(&program, 1_000);
    let why = is_new(&program).unwrap_err();
    assert!(why.contains("is older than") && why.contains("a source.rs"));
    dated(&program, 2_000);
    assert_eq!(is_new(&program), Ok(()));
    fs::remove_file(&source).unwrap();
    assert!(is_new(&program).is_err());
    dated(&file("program.d"), 1_000);
    assert_eq!(is_new(&program), Ok(()), "the rule is of another checkout");
}
