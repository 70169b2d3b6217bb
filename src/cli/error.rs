//! The error of a command as the user sees it.
//!
//! ```text
//! Error: first-vm: VM does not exist
//!   caused by: …
//! hint: …
//! ```
//!
//! The first line is podman's text word for word where podman has one. The exit code is always 125.

use std::error::Error;
use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

/// Exit code of every failure, podman's.
pub const FAILURE: u8 = 125;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();

/// Why a command failed, and what the user can do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandError {
    /// The message and its causes; never empty.
    message: String,
    causes: Vec<String>,
    hints: Vec<String>,
}

impl CommandError {
    /// An error without a cause.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            causes: Vec::new(),
            hints: Vec::new(),
        }
    }

    /// `error` with all its causes.
    pub fn from_error(error: &(dyn Error + 'static)) -> Self {
        let mut command_error = Self::new(error.to_string());
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // A transparent error says what its cause says.
            let said = command_error
                .causes
                .last()
                .unwrap_or(&command_error.message);
            if *said != text {
                command_error.causes.push(text);
            }
            cause = error.source();
        }
        command_error
    }

    /// Adds a hint, unless it is there already.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        let hint = hint.into();
        if !self.hints.contains(&hint) {
            self.hints.push(hint);
        }
        self
    }

    /// Adds hints, each once.
    #[must_use]
    pub fn with_hints(self, hints: impl IntoIterator<Item = String>) -> Self {
        hints.into_iter().fold(self, Self::with_hint)
    }

    /// Adds lines that explain the error.
    #[must_use]
    pub fn with_causes(mut self, causes: impl IntoIterator<Item = String>) -> Self {
        self.causes.extend(causes);
        self
    }

    /// The text for standard error.
    pub fn render(&self) -> String {
        let mut text = format!("{ERROR}Error:{ERROR:#} {}\n", self.message);
        for cause in &self.causes {
            // A cause of several lines stays under its first one.
            let cause = cause.replace('\n', "\n    ");
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  caused by: {cause}");
        }
        for hint in &self.hints {
            let _ = writeln!(text, "{HINT}hint:{HINT:#} {hint}");
        }
        text
    }
}

impl From<crate::cli::output::gotemplate::TemplateError> for CommandError {
    fn from(error: crate::cli::output::gotemplate::TemplateError) -> Self {
        Self::from_error(&error)
    }
}

impl From<serde_json::Error> for CommandError {
    fn from(error: serde_json::Error) -> Self {
        Self::from_error(&error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("Cannot copy `disk.qcow2`")]
    struct Copy(#[source] Middle);

    #[derive(Debug, thiserror::Error)]
    #[error(transparent)]
    struct Middle(#[from] std::io::Error);

    fn rendered(error: &CommandError) -> String {
        anstream::adapter::strip_str(&error.render()).to_string()
    }

    #[test]
    fn message_causes_hints() {
        let error = Copy(Middle(std::io::Error::other("no space\nleft")));
        let error = CommandError::from_error(&error)
            .with_hint("free some space")
            .with_hints([
                "free some space".to_owned(),
                "or use another disk".to_owned(),
            ]);
        assert_eq!(
            rendered(&error),
            "Error: Cannot copy `disk.qcow2`\n  caused by: no space\n    left\n\
             hint: free some space\nhint: or use another disk\n"
        );
    }
}
