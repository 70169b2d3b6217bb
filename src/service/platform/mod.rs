//! What of the services depends on the host's system; each leaf has the same functions.

// Pure, so it is tested wherever tests run.
#[cfg(any(target_os = "macos", test))]
mod launchd;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;
mod order;
#[cfg(any(windows, test))]
mod task;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;
#[cfg(any(target_os = "macos", windows, test))]
mod xml;

#[cfg(target_os = "linux")]
pub(super) use linux::{BY_DEFAULT, find, ready};
#[cfg(target_os = "macos")]
pub(super) use macos::{BY_DEFAULT, find, ready};
#[cfg(windows)]
pub(super) use windows::{BY_DEFAULT, find, ready};
