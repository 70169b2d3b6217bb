//! Unix: a companion may inherit a connection under a number.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::process::Command;

use command_fds::{CommandFdExt, FdMapping};

/// The number under which a companion gets the first connection; the second has the next, and so on.
pub const FIRST_INHERITED: i32 = 3;

/// A connected socket to be given away.
#[derive(Debug)]
pub struct Connection(OwnedFd);

impl From<Connection> for OwnedFd {
    fn from(connection: Connection) -> Self {
        connection.0
    }
}

/// Connects to whoever listens at `path`. A listener's backlog answers even before its owner does.
pub fn connect(path: &Path) -> io::Result<Connection> {
    Ok(Connection(UnixStream::connect(path)?.into()))
}

/// Fails where nobody takes datagrams.
pub(super) fn try_datagrams(path: &Path) -> io::Result<()> {
    UnixDatagram::unbound()?.connect(path)
}

/// Lets the program that the command starts have the connections, numbered from [`FIRST_INHERITED`]. They are closed
/// here when the command is dropped.
pub fn hand_over(command: &mut Command, connections: Vec<Connection>) -> io::Result<()> {
    let mappings = connections
        .into_iter()
        .zip(FIRST_INHERITED..)
        .map(|(connection, child_fd)| FdMapping {
            parent_fd: connection.0,
            child_fd,
        })
        .collect();
    command.fd_mappings(mappings).map_err(io::Error::other)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_child_has_the_connection_and_its_end_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "printf hello >&3"]);
        hand_over(&mut command, vec![connect(&path).unwrap()]).unwrap();
        let mut child = command.spawn().unwrap();
        drop(command);
        let mut said = String::new();
        let (mut accepted, _) = listener.accept().unwrap();
        accepted.read_to_string(&mut said).unwrap();
        assert_eq!(said, "hello");
        child.wait().unwrap();
    }
}
