//! The error of a command as the user sees it.
//!
//! ```text
//! Error: first-vm: VM does not exist
//!   caused by: …
//! hint: …
//! ```
//!
//! The first line is podman's text word for word where podman has one. The exit code is 125; only commands that
//! run a program for the user have others ([`NOT_FOUND`], [`NOT_EXECUTABLE`]).

use std::error::Error;
use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use machine_host::directories::DirectoryError;

use super::output::gotemplate::TemplateError;
use machine_images::ReferenceError;

use crate::connection::ConnectionError;
use crate::hostconf::HostConfError;
use crate::machine::name::NameError;
use crate::machine::settings::SettingError;
use crate::machine::sockets::SocketError;
use crate::ops::bundle::BundlesError;
use crate::ops::cp::CopyError;
use crate::ops::image::ObtainError;
use crate::ops::images::ImagesError;
use crate::ops::init::InitError;
use crate::ops::recreate::RecreateError;
use crate::ops::report::ReportError;
use crate::ops::rm::RemoveError;
use crate::ops::set::SetError;
use crate::ops::ssh::SshError;
use crate::ops::stop::StopError;
use crate::ops::volumes::VolumesError;
use crate::provider::ProviderError;
use crate::store::StoreError;
use crate::supervisor::SuperviseError;

/// Exit code of a command that did what it was asked.
pub const SUCCESS: u8 = 0;
/// Exit code of a failure, podman's.
pub const FAILURE: u8 = 125;
/// Exit code where the program to be run is not executable, as shells and podman have it.
pub const NOT_EXECUTABLE: u8 = 126;
/// Exit code where the program to be run is not found, as shells and podman have it.
pub const NOT_FOUND: u8 = 127;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();

/// Why a command failed, and what the user can do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandError {
    /// The message and its causes; never empty.
    message: String,
    causes: Vec<String>,
    detail: Vec<String>,
    hints: Vec<String>,
    code: u8,
}

impl CommandError {
    /// An error without a cause.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            causes: Vec::new(),
            detail: Vec::new(),
            hints: Vec::new(),
            code: FAILURE,
        }
    }

    /// `error` with all its causes.
    pub fn from_error(error: &(dyn Error + 'static)) -> Self {
        Self::new(error.to_string()).with_causes(error.source())
    }

    /// A message of the command line's own about `error`.
    pub fn caused_by(message: impl Into<String>, error: &(dyn Error + 'static)) -> Self {
        Self::new(message).with_causes(Some(error))
    }

    fn with_causes(mut self, mut cause: Option<&(dyn Error + 'static)>) -> Self {
        while let Some(error) = cause {
            let text = error.to_string();
            // A transparent error says what its cause says.
            if *self.causes.last().unwrap_or(&self.message) != text {
                self.causes.push(text);
            }
            cause = error.source();
        }
        self
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

    /// Adds lines that explain the error, each printed as it is below the causes.
    #[must_use]
    pub fn with_detail(mut self, detail: impl IntoIterator<Item = String>) -> Self {
        self.detail.extend(detail);
        self
    }

    /// Ends the program with another code than [`FAILURE`].
    #[must_use]
    pub fn with_code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    /// The program's exit code.
    pub fn code(&self) -> u8 {
        self.code
    }

    /// The text for standard error.
    pub fn render(&self) -> String {
        self.render_as(ERROR, "Error:")
    }

    /// The text for standard error where the command goes on.
    pub fn render_warning(&self) -> String {
        self.render_as(WARNING, "Warning:")
    }

    fn render_as(&self, style: Style, label: &str) -> String {
        let mut text = format!("{style}{label}{style:#} {}\n", self.message);
        for cause in &self.causes {
            // A cause of several lines stays under its first one.
            let cause = cause.replace('\n', "\n    ");
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  caused by: {cause}");
        }
        for line in &self.detail {
            let _ = writeln!(text, "  {line}");
        }
        for hint in &self.hints {
            let _ = writeln!(text, "{HINT}hint:{HINT:#} {hint}");
        }
        text
    }
}

/// Library errors say themselves what to hint at.
macro_rules! from_errors {
    (with hints: $($hinting:ty),*; without: $($plain:ty),* $(,)?) => {
        $(impl From<$hinting> for CommandError {
            fn from(error: $hinting) -> Self {
                Self::from_error(&error).with_hints(error.hints())
            }
        })*
        $(impl From<$plain> for CommandError {
            fn from(error: $plain) -> Self {
                Self::from_error(&error)
            }
        })*
    };
}

from_errors! {
    with hints: BundlesError, ConnectionError, CopyError, HostConfError, ImagesError, InitError, ObtainError, ProviderError, RecreateError, ReferenceError, RemoveError, ReportError, SetError, SettingError, SocketError, SshError, StopError, StoreError, VolumesError;
    without: DirectoryError, NameError, SuperviseError, TemplateError, serde_json::Error, std::io::Error,
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
