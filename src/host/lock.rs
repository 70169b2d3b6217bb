//! Locks between processes, freed by the death of their holder.
//!
//! The lock is the kernel's lock on an open file, never the existence of that file, so nothing is
//! left over by a crash. Whether something *runs* is never found out by taking its lock: a probe
//! that succeeds would, for a moment, keep the rightful taker out.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::sys;

/// A lock that is held until this value is dropped or its process ends.
#[derive(Debug)]
pub struct FileLock {
    file: File,
}

/// Why a lock could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The lock's file could be neither opened nor made.
    #[error("Lock file `{}` could not be opened", path.display())]
    Open {
        /// The lock's file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system refused the lock for another reason than that it is held.
    #[error("Lock `{}` could not be taken", path.display())]
    Take {
        /// The lock's file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process held it all the time.
    #[error("Lock `{}` was still held by another process after {} s", path.display(), limit.as_secs())]
    Held {
        /// The lock's file.
        path: PathBuf,
        /// How long was waited.
        limit: Duration,
    },
}

impl FileLock {
    /// Takes the lock, or returns `None` at once where another holds it.
    pub fn try_acquire(path: &Path) -> Result<Option<Self>, LockError> {
        loop {
            let file = open(path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(std::fs::TryLockError::WouldBlock) => return Ok(None),
                Err(std::fs::TryLockError::Error(source)) => return Err(take(path, source)),
            }
            let lock = Self { file };
            if lock.is_at(path)? {
                return Ok(Some(lock));
            }
        }
    }

    /// Takes the lock, waiting for its holder for at most `limit`.
    ///
    /// The kernel offers no wait with a limit, so a thread waits without one and hands the lock
    /// over by a channel. When the limit passes first, nobody receives: the thread, should it get
    /// the lock later, closes its file and so frees it at once. It dies with this process.
    pub fn acquire(path: &Path, limit: Duration) -> Result<Self, LockError> {
        let started = Instant::now();
        loop {
            if let Some(lock) = Self::try_acquire(path)? {
                return Ok(lock);
            }
            let file = open(path)?;
            let (sender, receiver) = mpsc::sync_channel(1);
            std::thread::Builder::new()
                .name("lock".to_owned())
                .spawn(move || {
                    let result = file.lock().map(|()| Self { file });
                    // A failed send drops the lock, which frees it.
                    drop(sender.send(result));
                })
                .map_err(|source| take(path, source))?;
            let lock = match receiver.recv_timeout(limit.saturating_sub(started.elapsed())) {
                Ok(result) => result.map_err(|source| take(path, source))?,
                Err(_) => {
                    return Err(LockError::Held {
                        path: path.to_owned(),
                        limit,
                    });
                }
            };
            if lock.is_at(path)? {
                return Ok(lock);
            }
        }
    }

    /// Whether the locked file is still the one at `path`. The holder may have removed it with the
    /// directory around it, and a lock on the removed file keeps nobody out.
    fn is_at(&self, path: &Path) -> Result<bool, LockError> {
        sys::same_file(&self.file, path).map_err(|source| take(path, source))
    }
}

impl Drop for FileLock {
    /// Closing the file would do, but for a child between fork and exec, which holds a copy of it.
    fn drop(&mut self) {
        drop(self.file.unlock());
    }
}

fn open(path: &Path) -> Result<File, LockError> {
    sys::open_private(path).map_err(|source| LockError::Open {
        path: path.to_owned(),
        source,
    })
}

fn take(path: &Path, source: io::Error) -> LockError {
    LockError::Take {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn held_lock_is_refused_until_it_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("edit.lock");
        let held = FileLock::try_acquire(&path).unwrap().unwrap();
        assert!(FileLock::try_acquire(&path).unwrap().is_none());
        drop(held);
        assert!(FileLock::try_acquire(&path).unwrap().is_some());
    }

    #[test]
    fn lock_is_freed_by_its_holders_death() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run.lock");
        let mut holder = testing::Child::start("hold-lock", &[path.as_os_str()]);
        holder.wait_for("ready");
        assert!(FileLock::try_acquire(&path).unwrap().is_none());
        holder.kill();
        FileLock::acquire(&path, Duration::from_secs(20)).unwrap();
    }

    #[test]
    fn waiting_ends_with_the_limit_and_leaves_no_lock_behind() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("edit.lock");
        let held = FileLock::try_acquire(&path).unwrap().unwrap();
        let error = FileLock::acquire(&path, Duration::from_millis(50)).unwrap_err();
        assert!(matches!(error, LockError::Held { .. }), "{error}");
        drop(held);
        // The thread of the wait that was given up may hold the lock for a moment, not for longer.
        FileLock::acquire(&path, Duration::from_secs(20)).unwrap();
    }

    #[test]
    fn waiter_gets_the_lock_when_it_is_freed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("edit.lock");
        let held = FileLock::try_acquire(&path).unwrap().unwrap();
        std::thread::scope(|scope| {
            let waiter =
                scope.spawn(|| FileLock::acquire(&path, Duration::from_secs(20)).map(drop));
            drop(held);
            waiter.join().unwrap().unwrap();
        });
    }

    #[test]
    fn missing_directory_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gone").join("edit.lock");
        let error = FileLock::acquire(&path, Duration::from_secs(1)).unwrap_err();
        assert!(matches!(error, LockError::Open { .. }), "{error}");
        assert!(error.to_string().contains("edit.lock"), "{error}");
    }
}
