//! The lock that Go's container tools put around their shared files: a POSIX record lock on the whole of a file beside
//! them, and `LockFileEx` on Windows.
//!
//! A record lock belongs to the process: two threads do not keep each other out, and closing *any* descriptor of the
//! file frees it. So a path is claimed inside this process first, and only who holds the claim opens the file.

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use crate::lock::LockError;
use crate::sys;

/// A record lock that is held until this value is dropped or its process ends.
#[derive(Debug)]
pub struct RecordLock {
    /// Closing it frees the lock. Declared, and so dropped, before the claim.
    _file: File,
    _claim: Claim,
}

impl RecordLock {
    /// Takes the lock, waiting for its holder for at most `limit`. The file is made where it is missing, readable by
    /// everyone as Go's is, and with it its directory, which only the owner can enter.
    ///
    /// The kernel offers no wait with a limit, so a thread waits without one. When the limit passes first, that thread
    /// keeps the claim until it has got the lock and freed it again; it dies with this process.
    pub fn acquire(path: &Path, limit: Duration) -> Result<Self, LockError> {
        let ends = Instant::now() + limit;
        let held = || LockError::Held {
            path: path.to_owned(),
            limit,
        };
        let take = |source| LockError::Take {
            path: path.to_owned(),
            source,
        };
        let open = |source| LockError::Open {
            path: path.to_owned(),
            source,
        };
        let claimed = std::path::absolute(path).map_err(open)?;
        let claim = Claim::acquire(claimed, ends).ok_or_else(held)?;
        let file = sys::open_shared(path).map_err(open)?;
        if sys::lock_record(&file, false).map_err(take)? {
            return Ok(Self {
                _file: file,
                _claim: claim,
            });
        }
        let (sender, receiver) = mpsc::sync_channel(1);
        std::thread::Builder::new()
            .name("record-lock".to_owned())
            .spawn(move || {
                let result = sys::lock_record(&file, true).map(|_| Self {
                    _file: file,
                    _claim: claim,
                });
                // A failed send drops the lock, which frees it.
                drop(sender.send(result));
            })
            .map_err(take)?;
        match receiver.recv_timeout(ends.saturating_duration_since(Instant::now())) {
            Ok(result) => result.map_err(take),
            Err(_) => Err(held()),
        }
    }
}

/// The paths that threads of this process hold or wait for.
static CLAIMED: Mutex<Option<HashSet<PathBuf>>> = Mutex::new(None);
static RELEASED: Condvar = Condvar::new();

/// The right of one thread to open and lock a file.
#[derive(Debug)]
struct Claim(PathBuf);

impl Claim {
    /// `None` where another thread kept it all the time.
    fn acquire(path: PathBuf, ends: Instant) -> Option<Self> {
        let mut claimed = claimed();
        loop {
            if claimed.get_or_insert_default().insert(path.clone()) {
                return Some(Self(path));
            }
            let left = ends.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            claimed = RELEASED
                .wait_timeout(claimed, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(paths) = claimed().as_mut() {
            paths.remove(&self.0);
        }
        RELEASED.notify_all();
    }
}

fn claimed() -> MutexGuard<'static, Option<HashSet<PathBuf>>> {
    CLAIMED.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::testing;

    const LONG: Duration = Duration::from_secs(20);
    const SHORT: Duration = Duration::from_millis(50);

    #[test]
    fn another_process_is_waited_for_and_its_death_frees_the_lock() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("connections.json.lock");
        let mut holder = testing::Child::start("hold-record-lock", &[path.as_os_str()]);
        holder.wait_for("ready");
        let error = RecordLock::acquire(&path, SHORT).unwrap_err();
        assert!(matches!(error, LockError::Held { .. }), "{error}");
        holder.kill();
        // The wait that was given up may hold the claim for a moment, not for longer.
        drop(RecordLock::acquire(&path, LONG).unwrap());
        drop(RecordLock::acquire(&path, LONG).unwrap());
    }

    #[test]
    fn our_lock_keeps_another_process_out() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new").join("connections.json.lock");
        let held = RecordLock::acquire(&path, SHORT).unwrap();
        let mut other = testing::Child::start("hold-record-lock", &[path.as_os_str()]);
        other.wait_for("waiting");
        drop(held);
        other.wait_for("ready");
    }

    #[test]
    fn threads_keep_each_other_out() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let inside = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let _lock = RecordLock::acquire(&path, LONG).unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        let _held = RecordLock::acquire(&path, SHORT).unwrap();
        let error = RecordLock::acquire(&path, SHORT).unwrap_err();
        assert!(matches!(error, LockError::Held { .. }), "{error}");
        let other = directory.path().join("other");
        drop(RecordLock::acquire(&other, SHORT).unwrap());
    }

    #[test]
    fn what_cannot_be_opened_is_named_and_claims_nothing() {
        let directory = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            let error = RecordLock::acquire(directory.path(), SHORT).unwrap_err();
            assert!(matches!(error, LockError::Open { .. }), "{error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn modes_are_gos() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new").join("lock");
        drop(RecordLock::acquire(&path, SHORT).unwrap());
        let mode = |path: &Path| fs_err::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        // The umask may take from it, as it takes from Go's.
        assert_eq!(mode(&path) & !0o644, 0);
        assert_eq!(mode(&path) & 0o600, 0o600);
    }
}
