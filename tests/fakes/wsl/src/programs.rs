//! Notes for the tests, and a call that never ends.

use std::io::{self, Write};
use std::path::Path;

/// Notes a call, for tests that count them.
pub(crate) fn note(home: &Path, words: &[String]) -> io::Result<()> {
    append(home, "calls", &words.join(" "))
}

/// Notes what nobody may do.
pub(crate) fn violation(home: &Path, words: &[String], what: &str) {
    let line = format!("{}: {what}", words.join(" "));
    // The exit code says it as well.
    let _ = append(home, "violations", &line);
}

fn append(home: &Path, file: &str, line: &str) -> io::Result<()> {
    let mut file = fs_err::OpenOptions::new()
        .create(true)
        .append(true)
        .open(home.join(file))?;
    // One write, so that calls side by side do not mix.
    file.write_all(format!("{}\n", line.replace('\n', " ")).as_bytes())
}

/// Never ends.
pub(crate) fn hang() -> ! {
    loop {
        std::thread::park();
    }
}
