//! A program that works beside a VM: started so that it outlives us, found again by the next process that looks after
//! the VM, and ended with it.

use std::io;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use crate::access;
use crate::process::{ProcessIdentity, spawn_detached};
use crate::watch::DirectoryWatch;

#[cfg(unix)]
#[path = "unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "windows.rs"]
mod platform;

pub use platform::{Connection, FIRST_INHERITED, connect, hand_over};

/// Between a socket's making and its listening there is no event.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Connects to a program as soon as it listens at `path`, which it has to do within `limit`.
pub async fn connect_when_listening(path: &Path, limit: Duration) -> io::Result<Connection> {
    when_listening(path, limit, connect).await
}

/// Waits until a program takes datagrams at `path`, which it has to do within `limit`. Nothing is sent to it.
pub async fn wait_for_datagrams(path: &Path, limit: Duration) -> io::Result<()> {
    when_listening(path, limit, platform::try_datagrams).await
}

async fn when_listening<T>(
    path: &Path,
    limit: Duration,
    connect: fn(&Path) -> io::Result<T>,
) -> io::Result<T> {
    let opened = async {
        let mut watch = DirectoryWatch::new()?;
        if let Some(directory) = path.parent() {
            watch.add(directory)?;
        }
        loop {
            match connect(path) {
                Ok(connection) => return Ok(connection),
                Err(error) if error.kind() == io::ErrorKind::NotFound => watch.changed().await?,
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    let _ = tokio::time::timeout(LOOK_AGAIN, watch.changed()).await;
                }
                Err(error) => return Err(error),
            }
        }
    };
    let timed_out = |_| {
        let text = format!("It does not listen after {} s", limit.as_secs());
        io::Error::new(io::ErrorKind::TimedOut, text)
    };
    tokio::time::timeout(limit, opened)
        .await
        .map_err(timed_out)?
}

/// A program that was started, or found again. Dropping it ends nothing.
#[derive(Debug)]
pub struct Companion {
    identity: ProcessIdentity,
    child: Option<Child>,
}

impl Companion {
    /// Starts the program; what it prints is appended to `log`.
    ///
    /// It has a session of its own and inherits nothing but what the command was given. A program that ends at once is
    /// an error, as far as that is seen at once.
    pub fn start(mut command: Command, log: &Path) -> io::Result<Self> {
        let log = access::open_to_append(log)?;
        command.stdout(log.try_clone()?).stderr(log);
        let mut child = spawn_detached(&mut command)?;
        // With the command our copies of what is inherited go, so that the program's end is seen at the other side.
        drop(command);
        match ProcessIdentity::of(child.id()) {
            Ok(Some(identity)) => Ok(Self {
                identity,
                child: Some(child),
            }),
            Ok(None) => {
                let status = child.wait()?;
                Err(io::Error::other(format!("It ended at once: {status}")))
            }
            Err(error) => {
                child.kill()?;
                child.wait()?;
                Err(error)
            }
        }
    }

    /// One that another process of ours started, which may have ended.
    pub fn found(identity: ProcessIdentity) -> Self {
        Self {
            identity,
            child: None,
        }
    }

    /// The process.
    pub fn identity(&self) -> &ProcessIdentity {
        &self.identity
    }

    /// Ready when it has ended, by itself or by another's hand.
    pub async fn ended(&mut self) {
        self.identity.ended().await;
        self.reap();
    }

    /// Ends it, without waiting for more than the kernel needs. One that has ended is a success.
    pub fn end(&mut self) -> io::Result<()> {
        self.identity.kill()?;
        self.reap();
        Ok(())
    }

    /// Takes note of the end of a child, which is sure to come.
    fn reap(&mut self) {
        if let Some(mut child) = self.child.take() {
            // An error would say that it is no child any more, and then there is nothing to take note of.
            let _ = child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing;

    fn blocking() -> Command {
        testing::command("block", &[])
    }

    #[tokio::test]
    async fn it_outlives_its_value_and_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let companion = Companion::start(blocking(), &log).unwrap();
        let identity = companion.identity().clone();
        drop(companion);
        assert!(identity.is_alive());
        let mut found = Companion::found(identity.clone());
        let early = tokio::time::timeout(Duration::from_millis(50), found.ended());
        assert!(early.await.is_err());
        found.end().unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(20), found.ended());
        ended.await.unwrap();
        assert!(!identity.is_alive());
        found.end().unwrap();
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let missing = Command::new(folder.path().join("missing"));
        let error = Companion::start(missing, &folder.path().join("log")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
