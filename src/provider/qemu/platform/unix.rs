//! Unix: listening sockets that a child inherits.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use command_fds::{CommandFdExt, FdMapping};
use fs_err as fs;
use machine_host::companion::Connection;
use tokio::net::UnixStream;

/// A stream socket with a path.
pub(in crate::provider::qemu) type Stream = UnixStream;
/// A descriptor to be given away.
#[derive(Debug)]
pub(in crate::provider::qemu) struct Inherited(pub(super) OwnedFd);

/// The number under which a child gets the first descriptor; the second has the next, and so on.
pub(in crate::provider::qemu) const FIRST_FD: i32 = 3;

/// Makes a socket that only its owner can connect to, and listens. A socket of before is removed, anything else at the
/// path is left and an error.
pub(in crate::provider::qemu) fn listen(path: &Path) -> io::Result<Inherited> {
    use std::os::unix::fs::FileTypeExt;
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_socket() => fs::remove_file(path)?,
        Ok(_) => {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "Something that is no socket has this name",
            ));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(Inherited(listener.into()))
}

/// A connection as something that a child inherits.
pub(in crate::provider::qemu) fn inherit_connection(connection: Connection) -> Inherited {
    Inherited(connection.into())
}

/// The same for a connection that was used.
pub(in crate::provider::qemu) fn to_inherit(stream: Stream) -> io::Result<Inherited> {
    let stream = stream.into_std()?;
    // What a child inherits it shares with us, and not every child expects otherwise.
    stream.set_nonblocking(false)?;
    Ok(Inherited(stream.into()))
}

/// Lets the child that the command starts have the descriptors, numbered from [`FIRST_FD`]. They are closed here when
/// the command is dropped.
pub(in crate::provider::qemu) fn inherit(
    command: &mut Command,
    descriptors: Vec<Inherited>,
) -> io::Result<()> {
    let mappings = descriptors
        .into_iter()
        .zip(FIRST_FD..)
        .map(|(descriptor, child_fd)| FdMapping {
            parent_fd: descriptor.0,
            child_fd,
        })
        .collect();
    command.fd_mappings(mappings).map_err(io::Error::other)?;
    Ok(())
}

/// Connects; the socket's backlog answers even before its owner does.
pub(in crate::provider::qemu) async fn connect(path: &Path) -> io::Result<Stream> {
    UnixStream::connect(path).await
}

/// The pieces of a text between its commas.
pub(in crate::provider::qemu) fn split_at_commas(text: &OsStr) -> Vec<&OsStr> {
    text.as_bytes()
        .split(|byte| *byte == b',')
        .map(OsStr::from_bytes)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socket_of_before_gives_way_and_anything_else_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        drop(listen(&path).unwrap());
        let _listener = listen(&path).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let file = directory.path().join("file");
        fs::write(&file, "precious").unwrap();
        listen(&file).unwrap_err();
        assert_eq!(fs::read(&file).unwrap(), b"precious");
    }
}
