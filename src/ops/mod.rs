//! The use cases: one file each.
//!
//! They take typed requests, return values and tell their progress as values. Nothing here prints, asks or exits, and
//! nothing here knows the command line.

pub mod init;
pub mod inspect;
pub mod list;
pub mod rm;
pub mod start;
pub mod stop;
