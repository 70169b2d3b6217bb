//! The user's terminal and standard input, for a program that runs elsewhere: size, raw mode, signals, bytes.

#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod system;

use machine_protocol::exec::Signal;

pub use system::{Raw, Signals, input, size};

/// What the system tells this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The terminal may have another size.
    Resized,
    /// A signal, or what stands for one.
    Signal(Signal),
}
