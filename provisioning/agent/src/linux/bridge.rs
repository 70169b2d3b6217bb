//! The way to an agent whose host can only run programs in the guest and has their standard streams: the agent listens at
//! a socket, and `agent --bridge` joins its own streams to that.
//!
//! The link is one stream of bytes, so the end of either direction is the end of both.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use tokio::net::UnixListener;

use super::watch;

/// How long an agent may take to listen: it is started beside the bridge, and may be started anew.
const APPEARANCE: Duration = Duration::from_mins(1);

/// As much as a pipe holds.
const BUFFER: usize = 64 << 10;

/// Why there is no way to the agent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BridgeError {
    #[error("No agent listened at `{}` within {secs} s", .0.display(), secs = APPEARANCE.as_secs())]
    NoAgent(PathBuf),
    #[error("The agent's socket `{}` could not be waited for", .0.display())]
    Wait(PathBuf, #[source] io::Error),
    #[error("The standard streams cannot be used")]
    Streams(#[source] io::Error),
}

/// Listens at this path. The socket is there only once it can be connected to, and takes the place of another agent's.
/// Nobody but root can reach it.
pub(super) fn listen(path: &Path) -> io::Result<UnixListener> {
    if let Some(directory) = path.parent() {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
    }
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    match fs_err::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&new)?;
    fs_err::set_permissions(&new, std::fs::Permissions::from_mode(0o600))?;
    fs_err::rename(&new, path)?;
    Ok(listener)
}

/// Joins the standard streams to the agent until either has ended.
pub(super) fn run(path: &Path) -> Result<(), BridgeError> {
    let wait = |error| BridgeError::Wait(path.to_owned(), error);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(wait)?;
    let found = runtime.block_on(async {
        let there = watch::until(path, || UnixStream::connect(path).ok());
        tokio::time::timeout(APPEARANCE, there).await
    });
    let agent = match found {
        Ok(agent) => agent.map_err(wait)?,
        Err(_) => return Err(BridgeError::NoAgent(path.to_owned())),
    };
    join(&agent).map_err(BridgeError::Streams)
}

fn join(agent: &UnixStream) -> io::Result<()> {
    let (to, from) = (agent.try_clone()?, agent.try_clone()?);
    let (input, output) = (io::stdin(), io::stdout());
    let (input, output) = (file(input.as_fd())?, file(output.as_fd())?);
    let (ended, first) = mpsc::channel();
    let copy = |mut from: File, mut to: File, ended: mpsc::Sender<()>| {
        std::thread::spawn(move || {
            // How it ended makes no difference: the host and the agent see that it has.
            let _ = copy_all(&mut from, &mut to);
            let _ = ended.send(());
        });
    };
    copy(input, file(to.as_fd())?, ended.clone());
    copy(file(from.as_fd())?, output, ended);
    let _ = first.recv();
    Ok(())
}

/// Copies until the end. Not `io::copy`: that has the kernel splice, which waits for the agent with the pipe's lock in its
/// hand, and whoever is at the other end of the pipe could not even close it.
fn copy_all(from: &mut File, to: &mut File) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => to.write_all(&buffer[..length])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The descriptor as a file, without a buffer.
fn file(descriptor: BorrowedFd<'_>) -> io::Result<File> {
    Ok(File::from(descriptor.try_clone_to_owned()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_takes_the_place_of_a_dead_agents() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/link.sock");
        drop(listen(&path).unwrap());
        assert!(UnixStream::connect(&path).is_err());
        let listener = listen(&path).unwrap();
        let _client = UnixStream::connect(&path).unwrap();
        listener.accept().await.unwrap();
        let mode = |path: &Path| fs_err::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
    }
}
