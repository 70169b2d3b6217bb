//! The programs of other crates that the tests of the stand-ins run. Cargo does not build them for these tests alone, and one
//! of before would let them wait for what never comes: so an old one is an error that says so.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use fs_err as fs;

/// A program of another crate, beside `own`.
pub(crate) fn built(own: &str, name: &str) -> PathBuf {
    let path = Path::new(own).with_file_name(name);
    let is_new = is_new(&path);
    assert!(
        is_new.is_ok(),
        "{}: run `cargo build -p {name}`, or the tests of the whole workspace",
        is_new.err().unwrap_or_default()
    );
    path
}

/// `cargo build` writes beside a program what it was made of, as a rule of make: `program: source source`. A test of the
/// whole workspace builds the program as well, and writes no rule.
pub(crate) fn is_new(program: &Path) -> Result<(), String> {
    let made = |path: &Path| -> Result<SystemTime, String> {
        let made = fs::metadata(path).and_then(|file| file.modified());
        made.map_err(|error| error.to_string())
    };
    let when = made(program).map_err(|error| format!("`{}`: {error}", program.display()))?;
    let rule = program.with_extension("d");
    let Ok(ruled) = made(&rule) else {
        return Ok(());
    };
    let text = fs::read_to_string(&rule).map_err(|error| error.to_string())?;
    let (_, sources) = text.split_once(": ").unwrap_or_default();
    // A blank in a name is written with a backslash before it.
    let sources = sources.trim().replace("\\ ", "\0");
    for source in sources.split(' ').map(|source| source.replace('\0', " ")) {
        let source = Path::new(&source);
        let is_new = match made(source) {
            _ if !is_own(source) => true,
            Ok(changed) => changed <= when,
            // What was removed is a change as well, if the rule is not that of an earlier program, of another checkout.
            Err(_) => ruled < when,
        };
        if !is_new {
            let (program, source) = (program.display(), source.display());
            return Err(format!("`{program}` is older than `{source}`"));
        }
    }
    Ok(())
}

/// Whether somebody writes it by hand: cargo names the directories of sources that a build script looked at as well.
fn is_own(source: &Path) -> bool {
    source.extension().is_some_and(|end| end == "rs")
}
