//! Unix sockets.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

/// A connected endpoint.
pub type Stream = UnixStream;

/// A listening endpoint. Dropping it leaves its file, which its owner removes.
#[derive(Debug)]
pub struct Listener(UnixListener);

impl Listener {
    /// The next client.
    pub async fn accept(&mut self) -> io::Result<Stream> {
        self.0.accept().await.map(|(stream, _)| stream)
    }
}

/// What programs of others are to be given for `path`: the path itself.
pub fn address(path: &Path) -> PathBuf {
    path.to_owned()
}

/// Listens at `path`, replacing whatever file is there. Needs a tokio runtime.
pub fn bind(path: &Path) -> io::Result<Listener> {
    match fs_err::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("cannot listen at `{}`: {error}", path.display()),
        )
    })?;
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(Listener(listener))
}

/// Connects to whoever listens at `path`.
pub async fn connect(path: &Path) -> io::Result<Stream> {
    UnixStream::connect(path).await
}

/// Connects without a runtime, to write alone. A reader that does not keep up is an error and never a wait.
pub fn connect_writer(path: &Path) -> io::Result<Box<dyn io::Write + Send>> {
    let stream = std::os::unix::net::UnixStream::connect(path)?;
    stream.set_nonblocking(true)?;
    Ok(Box::new(stream))
}

/// The process that listens at the other end (`SO_PEERCRED`, `LOCAL_PEERPID`), where it is this user's. A connection that is
/// open keeps its number from meaning another process.
pub fn peer_process(stream: &Stream) -> Option<u32> {
    let peer = stream.peer_cred().ok()?;
    if peer.uid() != crate::facts::user_id() {
        return None;
    }
    peer.pid().and_then(|pid| u32::try_from(pid).ok())
}

/// Moves an endpoint to the runtime of the caller, whose thread then serves it.
pub fn rehome(stream: Stream) -> io::Result<Stream> {
    UnixStream::from_std(stream.into_std()?)
}

/// False when it is certain that nobody listens at `path`, which costs less than to connect.
pub fn may_exist(path: &Path) -> bool {
    path.exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_system_names_the_other_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        let _listener = bind(&path).unwrap();
        let stream = connect(&path).await.unwrap();
        assert_eq!(peer_process(&stream), Some(std::process::id()));
    }
}
