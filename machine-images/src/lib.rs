//! Turns an image that a user names into the disk of a virtual machine.
//!
//! [`recognise`] says by content what a file is, and refuses what cannot become a disk, naming
//! what it is instead. [`prepare`] makes a disk of its own from it: a clone where the file system
//! can, a copy that keeps the holes elsewhere, grown to the size that was asked for. A disk is
//! complete under its final name or does not exist. This crate knows no virtual machine, prints
//! nothing and runs no program.

mod copy;
mod disk;
mod error;
mod platform;
mod prepare;
mod progress;
mod qcow2;
mod recognise;

pub use error::ImageError;
pub use prepare::{PreparedDisk, grow, prepare};
pub use progress::Reporter;
pub use recognise::{DiskFormat, ImageKind, recognise};

/// Larger disks are refused: no file system that a guest would put on one takes a bigger file,
/// and such a number in an image's header is an error or an attack.
pub const MAX_DISK_BYTES: u64 = 64 << 40;
