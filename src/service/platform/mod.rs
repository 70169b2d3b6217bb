//! What of the services depends on the host's system; each leaf has the same functions.

// Pure, so it is tested wherever tests run.
#[cfg(any(target_os = "macos", test))]
mod launchd;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(target_os = "linux")]
pub(super) use linux::{find, ready};
#[cfg(target_os = "macos")]
pub(super) use macos::{find, ready};
#[cfg(windows)]
pub(super) use windows::{find, ready};
