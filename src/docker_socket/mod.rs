//! The place where Docker's clients look for an engine by themselves, `/var/run/docker.sock`: lent to the machine that
//! starts while nobody else has it, and given back when it stops.
//!
//! Only root may change that place. On macOS `podman-mac-helper` does it for a user who has installed it, which is how he
//! asks for it: it makes the place a link to one path of the user's, which leads on to the machine's API socket. Linux has
//! nothing like it, and Windows another way, which is not taken yet.

#[cfg(unix)]
#[path = "unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "windows.rs"]
mod platform;

use std::path::PathBuf;

pub use platform::{claim, release};

/// Whether Docker's clients find the machine by themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// This host has no such place for users.
    Unsupported,
    /// It has, and the helper is not installed; the program that installs it, where it was found.
    NoHelper(Option<PathBuf>),
    /// Somebody else's engine answers there.
    Taken,
    /// The helper did not do it. Why, in a sentence.
    Refused(String),
    /// They find it, at this path.
    Claimed(PathBuf),
}
