//! Ports: who has them, and why they are denied.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;
#[cfg(windows)]
mod windows;

#[cfg(target_os = "linux")]
pub(crate) use linux::{NO_SUCH_FAMILY, WAITS_FOR_OLD_CONNECTIONS, denied, holder};
#[cfg(target_os = "macos")]
pub(crate) use macos::{NO_SUCH_FAMILY, WAITS_FOR_OLD_CONNECTIONS, denied, holder};
#[cfg(windows)]
pub(crate) use windows::{NO_SUCH_FAMILY, WAITS_FOR_OLD_CONNECTIONS, denied, holder};
