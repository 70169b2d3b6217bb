//! Vsock, where the kernel has it.

#[cfg(not(target_os = "linux"))]
mod absent;
#[cfg(target_os = "linux")]
mod linux;

#[cfg(not(target_os = "linux"))]
pub use absent::{Acceptor, Device, Listener, Stream, is_usable};
#[cfg(target_os = "linux")]
pub use linux::{Acceptor, Device, Listener, Stream, is_usable};
