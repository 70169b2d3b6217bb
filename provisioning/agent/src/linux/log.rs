//! The agent's own words, for the guest's journal.

use std::error::Error;
use std::io::Write;

/// Says one line. Nothing depends on its being heard.
pub(super) fn log(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Says what failed, with every cause.
pub(super) fn log_error(what: &str, error: &dyn Error) {
    log(&format!("{what}: {}", chain(error)));
}

/// An error and its causes in one line.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
