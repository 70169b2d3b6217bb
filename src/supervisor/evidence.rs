//! What a guest left behind when it did not come up: its console and the journal of its first boot.
//!
//! Everything here comes from the guest and is hostile: it is bounded, and control characters are taken out.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// How much of the end of a file is looked at.
const TAIL_BYTES: u64 = 16 * 1024;
/// How many lines are shown.
const TAIL_LINES: usize = 12;
/// How much of one line is shown. The reason stands at the end of a chain of errors.
const LINE_CHARS: usize = 400;

/// The last lines of a text file, without escape sequences and control characters; nothing when it cannot be read.
pub(super) fn tail(path: &Path) -> Vec<String> {
    let Ok(text) = read_tail(path) else {
        return Vec::new();
    };
    last_lines(&text)
}

/// The last messages of a journal in systemd's JSON form (one object a line, its text in `MESSAGE`), as Fedora CoreOS
/// dumps it into a virtio port when Ignition fails. Errors (`PRIORITY` 3 and below) are shown alone where there are
/// any. An object without a text ends the dump; lines that are not JSON are taken as they are.
pub(super) fn first_boot_journal(path: &Path) -> Vec<String> {
    let Ok(text) = read_tail(path) else {
        return Vec::new();
    };
    let entries: Vec<(bool, String)> = text.lines().filter_map(journal_entry).collect();
    let any_error = entries.iter().any(|(error, _)| *error);
    let shown = entries
        .into_iter()
        .filter(|(error, _)| *error || !any_error);
    let shown: Vec<String> = shown.map(|(_, message)| message).collect();
    last_lines(&shown.join("\n"))
}

/// Whether a line of the journal is an error, and its text.
fn journal_entry(line: &str) -> Option<(bool, String)> {
    let Ok(entry) = serde_json::from_str::<serde_json::Value>(line) else {
        return Some((false, line.to_owned()));
    };
    let message = entry.get("MESSAGE")?.as_str()?.to_owned();
    let priority = entry
        .get("PRIORITY")
        .and_then(|value| value.as_str()?.parse::<u8>().ok());
    Some((priority.is_some_and(|priority| priority <= 3), message))
}

/// How far a file has grown; a missing one is empty.
pub(super) fn length(path: &Path) -> u64 {
    fs_err::metadata(path).map_or(0, |found| found.len())
}

fn read_tail(path: &Path) -> std::io::Result<String> {
    let mut file = fs_err::File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn last_lines(text: &str) -> Vec<String> {
    let lines: Vec<String> = text
        .lines()
        .map(printable)
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].to_vec()
}

/// A line without terminal escape sequences (ECMA-48 CSI and two-byte ones) and other control characters.
fn printable(line: &str) -> String {
    let mut out = String::new();
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' => {
                if characters.next() == Some('[') {
                    // A control sequence ends with a character from `@` to `~`.
                    for parameter in characters.by_ref() {
                        if ('@'..='~').contains(&parameter) {
                            break;
                        }
                    }
                }
            }
            '\t' => out.push(' '),
            other if other.is_control() => {}
            other => out.push(other),
        }
    }
    out.truncate(
        out.char_indices()
            .nth(LINE_CHARS)
            .map_or(out.len(), |(at, _)| at),
    );
    out.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_control_characters_are_taken_out() {
        assert_eq!(
            printable("\u{1b}[0;32mOK\u{1b}[0m  x\r\u{7}\u{1b}cy"),
            "OK  xy"
        );
        assert_eq!(printable(&"ä".repeat(500)).chars().count(), LINE_CHARS);
        assert_eq!(
            printable("\u{1b}[31"),
            "",
            "an unfinished sequence ends with the line"
        );
    }

    #[test]
    fn the_last_lines_of_a_long_file_are_found() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let lines: Vec<String> = (0..5000).map(|n| format!("line {n}")).collect();
        let text = lines.join("\r\n\n");
        fs_err::write(file.path(), text).unwrap();
        let lines = tail(file.path());
        assert_eq!(lines.len(), TAIL_LINES);
        assert_eq!(lines.last().unwrap(), "line 4999");
        assert!(tail(Path::new("/nonexistent")).is_empty());
    }

    #[test]
    fn messages_are_taken_from_a_json_journal() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let info = "{\"MESSAGE\":\"stage: disks\",\"PRIORITY\":\"6\"}\nplain\n";
        fs_err::write(file.path(), format!("{info}{{}}\n")).unwrap();
        assert_eq!(first_boot_journal(file.path()), ["stage: disks", "plain"]);
        let error = "{\"MESSAGE\":\"disks: failed\",\"PRIORITY\":\"3\"}\n";
        fs_err::write(file.path(), format!("{error}{info}{{}}\n")).unwrap();
        assert_eq!(
            first_boot_journal(file.path()),
            ["disks: failed"],
            "errors alone"
        );
    }
}
