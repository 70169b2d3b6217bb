//! What is read for a report: ends of files that are files, and what else lies beside them. No link is followed.

use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use fs_err as fs;
use jiff::Timestamp;
use machine_host::access;

use crate::machine::MachineName;
use crate::store::{MachineFiles, layout};

/// So much of the end of a file is taken.
pub(super) const MOST_OF_A_FILE: u64 = 1 << 20;
/// A key is smaller.
const MOST_OF_A_SECRET: u64 = 64 << 10;
/// So many files of a machine are listed, and so deep.
const MOST_LISTED: usize = 1000;
const DEEPEST: usize = 3;

/// The end of a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tail {
    /// Whole lines, unless the file is short.
    pub(super) text: Vec<u8>,
    /// How long the file is, where there is more of it.
    pub(super) cut_from: Option<u64>,
}

/// What was read of a machine.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The file's name, and its end or why that cannot be had.
    pub(super) files: Vec<(String, Result<Tail, String>)>,
    /// All that is in its directory, in lines.
    pub(super) listing: String,
}

/// The end of a file of at most `most` bytes; none where there is no file.
pub(super) fn tail(path: &Path, most: u64) -> io::Result<Option<Tail>> {
    let mut file = match access::open_regular(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    let is_cut = length > most;
    if is_cut {
        file.seek(SeekFrom::Start(length - most))?;
    }
    let mut text = Vec::new();
    file.take(most).read_to_end(&mut text)?;
    if is_cut {
        // What is secret is told by what stands before it in its line.
        let end = text.iter().position(|byte| *byte == b'\n');
        text.drain(..end.map_or(text.len(), |end| end + 1));
    }
    Ok(Some(Tail {
        text,
        cut_from: is_cut.then_some(length),
    }))
}

/// Reads what is to be shown of a machine.
pub(super) fn machine(files: &MachineFiles) -> Seen {
    let mut seen = Seen {
        listing: listing(files.directory()),
        ..Seen::default()
    };
    for path in files.words() {
        for path in [path.clone(), old(&path)] {
            let name = path.file_name().unwrap_or_default();
            let name = name.to_string_lossy().into_owned();
            match tail(&path, MOST_OF_A_FILE) {
                Ok(None) => {}
                Ok(Some(tail)) => seen.files.push((name, Ok(tail))),
                Err(error) => seen.files.push((name, Err(error.to_string()))),
            }
        }
    }
    seen
}

fn old(path: &Path) -> PathBuf {
    let mut old = path.as_os_str().to_owned();
    old.push(layout::OLD_SUFFIX);
    PathBuf::from(old)
}

/// The secrets of machines, to look for them, and what could not be read of those.
pub(super) fn secrets(machines: &[(MachineName, MachineFiles)]) -> (Vec<String>, Vec<String>) {
    let mut secrets = Vec::new();
    let mut notes = Vec::new();
    for (name, files) in machines {
        for path in files.secrets() {
            match tail(&path, MOST_OF_A_SECRET) {
                Ok(None) => {}
                Ok(Some(tail)) => secrets.push(String::from_utf8_lossy(&tail.text).into_owned()),
                Err(error) => notes.push(format!(
                    "a secret of {name} could not be looked for: {error}"
                )),
            }
        }
    }
    (secrets, notes)
}

/// All that is in a directory: mode, size, time, kind, name.
fn listing(directory: &Path) -> String {
    let mut lines = Vec::new();
    list(directory, directory, DEEPEST, &mut lines);
    lines.sort_by(|(one, _), (other, _)| one.cmp(other));
    if lines.len() >= MOST_LISTED {
        lines.push((PathBuf::new(), "and more\n".to_owned()));
    }
    lines.into_iter().map(|(_, line)| line).collect()
}

fn list(root: &Path, directory: &Path, deep: usize, lines: &mut Vec<(PathBuf, String)>) {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => {
            lines.push((directory.to_owned(), format!("{error}\n")));
            return;
        }
    };
    for entry in entries.flatten() {
        if lines.len() >= MOST_LISTED {
            return;
        }
        let path = entry.path();
        let name = path.strip_prefix(root).unwrap_or(&path).display();
        let line = match fs::symlink_metadata(&path) {
            Ok(metadata) => described(&metadata, &name.to_string()),
            Err(error) => format!("{name}: {error}\n"),
        };
        let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        lines.push((path.clone(), line));
        if is_directory && deep > 1 {
            list(root, &path, deep - 1, lines);
        }
    }
}

fn described(metadata: &std::fs::Metadata, name: &str) -> String {
    let mode = access::mode(metadata).map_or_else(|| "-".to_owned(), |mode| format!("{mode:04o}"));
    let changed = metadata.modified().ok();
    let changed = changed.and_then(|time| Timestamp::try_from(time).ok());
    let changed = changed.map_or_else(
        || "-".to_owned(),
        |time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    );
    let kind = match metadata.file_type() {
        kind if kind.is_symlink() => "link",
        kind if kind.is_dir() => "directory",
        kind if kind.is_file() => "file",
        _ if access::is_socket(metadata) => "socket",
        _ => "other",
    };
    let size = metadata.len();
    format!("{mode} {size:>12} {changed} {kind:9} {name}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_file_is_whole_lines_and_no_more_than_the_limit() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let read = |text: &str, most| {
            fs::write(&path, text).unwrap();
            let tail = tail(&path, most).unwrap().unwrap();
            (String::from_utf8(tail.text).unwrap(), tail.cut_from)
        };
        let text = |text: &str, cut| (text.to_owned(), cut);
        assert_eq!(read("one\ntwo\n", 8), text("one\ntwo\n", None));
        assert_eq!(read("one\ntwo\n", 7), text("two\n", Some(8)));
        assert_eq!(read("one\ntwo\n", 5), text("two\n", Some(8)));
        assert_eq!(read("one\ntwo\n", 4), text("", Some(8)));
        assert_eq!(read("onetwothree", 4), text("", Some(11)));
        fs::remove_file(&path).unwrap();
        assert_eq!(tail(&path, 4).unwrap(), None);
    }

    #[test]
    fn a_directory_is_listed_with_what_lies_in_it() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("ssh")).unwrap();
        fs::write(directory.path().join("ssh").join("key"), "abc").unwrap();
        fs::write(directory.path().join("log"), "").unwrap();
        let text = listing(directory.path()).replace('\\', "/");
        let names: Vec<&str> = text
            .lines()
            .filter_map(|line| line.split_whitespace().last())
            .collect();
        assert_eq!(names, ["log", "ssh", "ssh/key"]);
        assert!(text.contains(" 3 20"), "{text}");
        let text = listing(&directory.path().join("gone"));
        assert!(text.contains("gone"), "{text}");
    }
}
