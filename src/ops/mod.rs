//! The use cases: one file each.
//!
//! They take typed requests, return values and tell their progress as values. Nothing here prints, asks or exits, and
//! nothing here knows the command line.

pub mod addressee;
pub mod adopt;
pub mod attend;
pub mod bundle;
pub mod connection;
pub mod cp;
pub mod data_disk;
pub mod doctor;
pub mod events;
pub mod exec;
pub mod host;
pub mod image;
pub mod images;
pub mod info;
pub mod init;
pub mod inspect;
pub mod list;
pub mod logs;
mod os_disk;
pub mod port;
pub mod recreate;
pub mod report;
pub mod rm;
pub mod selftest;
pub mod set;
pub mod sockets;
pub mod ssh;
pub mod start;
pub mod stop;
mod successor;
pub mod volumes;
