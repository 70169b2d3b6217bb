//! The progress of an image as JSON lines: an object a line, written to standard error.
//!
//! | `step` | what else |
//! |---|---|
//! | `downloading`, `waiting`, `unpacking`, `copying`, `verifying` | `done` and, where it is known, `total`, in bytes |
//! | `described` | `by`: the URL of the file whose checksum the image is compared with |
//! | `retrying` | `pause_ms`: when it is tried again, in milliseconds; `why` |
//! | `warning`, `note` | `text` |
//!
//! A program passes over a step and a key that it does not know.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::Step;

/// So often at most is a step told that goes on.
const PERIOD: Duration = Duration::from_millis(250);

#[derive(Serialize)]
#[serde(tag = "step", rename_all = "lowercase")]
enum Line<'a> {
    Downloading(Amount),
    Waiting(Amount),
    Unpacking(Amount),
    Copying(Amount),
    Verifying(Amount),
    Described { by: &'a str },
    Retrying { pause_ms: u128, why: &'a str },
    Warning { text: &'a str },
    Note { text: &'a str },
}

#[derive(Serialize)]
struct Amount {
    done: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
}

/// Remembers what was told when.
#[derive(Debug, Default)]
pub(super) struct JsonLines {
    told: Mutex<Option<(Step, Instant)>>,
}

impl JsonLines {
    /// The line that tells so much; `None` where one was told a moment ago and this one is not its step's last.
    pub(super) fn line(&self, step: Step, done: u64, total: Option<u64>) -> Option<String> {
        let now = Instant::now();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let again = matches!(*told, Some((before, at)) if before == step && now - at < PERIOD);
        if again && total != Some(done) {
            return None;
        }
        *told = Some((step, now));
        let amount = Amount { done, total };
        Some(text(&match step {
            Step::Downloading => Line::Downloading(amount),
            Step::Waiting => Line::Waiting(amount),
            Step::Unpacking => Line::Unpacking(amount),
            Step::Copying => Line::Copying(amount),
            Step::Verifying => Line::Verifying(amount),
        }))
    }
}

/// The line that names a file with the checksum.
pub(super) fn described(by: &str) -> String {
    text(&Line::Described { by })
}

/// The line of a failure that is not the last word.
pub(super) fn retrying(pause: Duration, why: &str) -> String {
    let pause_ms = pause.as_millis();
    text(&Line::Retrying { pause_ms, why })
}

/// The line of something the user should know.
pub(super) fn warning(warning: &str) -> String {
    text(&Line::Warning { text: warning })
}

/// The line of something that was done besides.
pub(super) fn note(note: &str) -> String {
    text(&Line::Note { text: note })
}

fn text(line: &Line<'_>) -> String {
    // Texts and numbers are always JSON.
    serde_json::to_string(line).unwrap_or_default() + "\n"
}
