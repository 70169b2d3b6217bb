//! Limits that a long-lived process sets for itself and its children.

#[cfg(unix)]
#[path = "unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "windows.rs"]
mod platform;

pub use platform::{most_open_files, no_core_files, raise_open_files};
