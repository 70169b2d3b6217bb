//! What the host's operating system offers, with the same names on Linux, macOS and Windows.
//!
//! Everything that differs between the systems is in `sys`, one leaf file a system, and nothing
//! above it asks which system it runs on. This crate knows no machine and no engine.

pub mod access;
pub mod atomic;
pub mod companion;
pub mod directories;
pub mod facts;
pub mod limits;
pub mod local_socket;
pub mod lock;
pub mod ports;
pub mod process;
pub mod program;
pub mod record_lock;
pub mod routes;
pub mod subordinate;
mod sys;
pub mod termination;
#[cfg(test)]
mod testing;
pub mod tree_watch;
pub mod vsock;
pub mod watch;
