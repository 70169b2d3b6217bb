//! Windows: nothing is inherited by number here.

use std::io;
use std::path::Path;
use std::process::Command;

/// There is no such number.
pub const FIRST_INHERITED: i32 = 0;

/// A connected socket to be given away; nothing makes one yet.
#[derive(Debug)]
pub enum Connection {}

/// Not supported yet.
pub fn connect(_path: &Path) -> io::Result<Connection> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Not supported yet.
pub(super) fn try_datagrams(_path: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Not supported yet.
pub fn hand_over(_command: &mut Command, connections: Vec<Connection>) -> io::Result<()> {
    match connections.into_iter().next() {
        None => Ok(()),
        Some(connection) => match connection {},
    }
}
