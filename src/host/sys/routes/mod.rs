//! The host's routes, on Linux.

#[cfg(not(target_os = "linux"))]
mod absent;
#[cfg(target_os = "linux")]
mod linux;

#[cfg(not(target_os = "linux"))]
pub(crate) use absent::present;
#[cfg(target_os = "linux")]
pub(crate) use linux::present;
