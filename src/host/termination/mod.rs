//! The system's wish that this process end: SIGTERM on Unix, shutdown or log-off on Windows.

#[cfg(unix)]
#[path = "unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "windows.rs"]
mod platform;

pub use platform::Termination;
