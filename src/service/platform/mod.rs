//! What of the services depends on the host's system; each leaf has the same functions.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;
#[cfg(windows)]
mod windows;

#[cfg(target_os = "linux")]
pub(super) use linux::{find, ready};
#[cfg(target_os = "macos")]
pub(super) use macos::{find, ready};
#[cfg(windows)]
pub(super) use windows::{find, ready};
