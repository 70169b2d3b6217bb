//! What can go wrong with WSL, each with what to do about it.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why WSL did not do what it was asked. [`hints`](Self::hints) says what to do about it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WslError {
    /// There is no such program, or the one that Windows brings along to fetch it.
    #[error("WSL is not installed")]
    NotInstalled,
    /// Older than what starts systemd.
    #[error("WSL {} is too old, and at least {minimum} is needed", .found.as_deref().unwrap_or("as Windows brings it along"))]
    TooOld {
        /// Its version, if it says one.
        found: Option<String>,
        /// The version that is needed.
        minimum: String,
    },
    /// Only distributions without a kernel of their own.
    #[error(
        "WSL can run version 1 alone on this host, which has no kernel of its own for containers"
    )]
    Version1Only,
    /// Windows' own virtual machines are off.
    #[error(
        "WSL cannot start a virtual machine: the virtual machine platform or the processor's virtualization is off"
    )]
    VirtualizationOff,
    /// What was switched on is there after the next start of Windows.
    #[error("WSL cannot start a virtual machine before Windows is restarted")]
    RebootPending,
    /// Somebody else's.
    #[error("WSL has a distribution `{0}` that is not of this machine")]
    Foreign(String),
    /// It was there once.
    #[error("WSL has no distribution `{0}` any more, and with it went all that was in it")]
    Lost(String),
    /// No distribution of this name.
    #[error("WSL has no distribution `{0}`")]
    Unknown(String),
    /// The disk of the host.
    #[error("The host's disk has no room for the distribution `{0}`")]
    DiskFull(String),
    /// It did not answer.
    #[error("`wsl {call}` did not end within {seconds} s")]
    Silent {
        /// The call, without what stands behind its option.
        call: String,
        /// The limit.
        seconds: u64,
    },
    /// It could not be started.
    #[error("`{}` could not be started", .program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The note of what was imported cannot be read or written.
    #[error("The record `{}` of the distribution cannot be used", .path.display())]
    Record {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Anything else.
    #[error("`wsl {call}` failed{}: {said}", .code.as_deref().map(|code| format!(" ({code})")).unwrap_or_default())]
    Failed {
        /// The call, without what stands behind its option.
        call: String,
        /// WSL's code, which is the same in every language.
        code: Option<String>,
        /// Its words, in one line.
        said: String,
    },
}

impl WslError {
    /// What the user can do, a line each, without the word "hint".
    pub fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::NotInstalled => {
                "Run `wsl --install --no-distribution` in a terminal of an administrator, then restart Windows"
            }
            // An update is the first advice of its makers as well.
            Self::TooOld { .. } | Self::Failed { .. } => "Run `wsl --update`",
            Self::Version1Only | Self::VirtualizationOff => {
                "Run `wsl --install --no-distribution` in a terminal of an administrator, restart Windows, and see that \
                 virtualization is on in the firmware's settings: https://aka.ms/enablevirtualization"
            }
            Self::RebootPending => "Restart Windows",
            Self::Foreign(name) => {
                return vec![format!(
                    "Choose another name for the machine; `wsl --unregister {name}` would delete what is not ours; `machine doctor` tells of those that machines left"
                )];
            }
            Self::Lost(_) => "Remove the machine with `machine rm` and make it anew",
            Self::DiskFull(_) => "Make room on the disk with the machine's directory",
            Self::Silent { .. } => {
                "WSL may hang, as it does after a sleep of the host: `wsl --shutdown` ends all distributions, and a restart \
                 of Windows helps where that hangs as well"
            }
            Self::Unknown(_) | Self::Spawn { .. } | Self::Record { .. } => return Vec::new(),
        };
        vec![hint.to_owned()]
    }
}
