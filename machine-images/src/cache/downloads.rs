//! Downloads that were broken off: found, and removed when nobody goes on with them.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use fs_err as fs;
use machine_host::lock::{FileLock, LockError};

use super::{CacheError, DOWNLOADS, remove_all};
use crate::platform;

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrunedDownloads {
    /// How many downloads.
    pub count: usize,
    /// What came free.
    pub bytes: u64,
}

/// Removes what is left over below the cache's `directory`.
pub(super) fn prune(directory: &Path, idle: Duration) -> Result<PrunedDownloads, CacheError> {
    let failed = |path: &Path, source| CacheError {
        path: path.to_owned(),
        source,
    };
    for path in entries(directory).map_err(|source| failed(directory, source))? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(".removed-") {
            remove_all(&path).map_err(|source| failed(&path, source))?;
        }
    }
    let mut pruned = PrunedDownloads::default();
    let downloads = directory.join(DOWNLOADS);
    for path in entries(&downloads).map_err(|source| failed(&downloads, source))? {
        if path.extension().is_some_and(|end| end == "lock") {
            one(&path, idle, &mut pruned).map_err(|source| failed(&path, source))?;
        }
    }
    Ok(pruned)
}

/// Removes what belongs to this lock, and the lock, if nobody holds it.
fn one(lock: &Path, idle: Duration, pruned: &mut PrunedDownloads) -> io::Result<()> {
    let taken = FileLock::try_acquire(lock).map_err(|error| match error {
        LockError::Open { source, .. } | LockError::Take { source, .. } => source,
        held @ LockError::Held { .. } => io::Error::other(held),
    });
    let Some(_held) = taken? else {
        return Ok(());
    };
    let part = lock.with_extension("part");
    if let Ok(facts) = fs::metadata(&part) {
        let age = facts
            .modified()
            .ok()
            .and_then(|time| SystemTime::now().duration_since(time).ok());
        if age.is_none_or(|age| age < idle) {
            return Ok(());
        }
        pruned.count += 1;
        pruned.bytes += platform::occupied_bytes(&facts);
    }
    remove_all(&lock.with_extension("new"))?;
    // The bytes last but one: without what is known of them they are nothing. A lock that is gone is noticed by who
    // waits for it.
    for path in [lock.with_extension("toml"), part, lock.to_owned()] {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// The paths in a directory, which need not exist.
fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(directory) {
        Ok(entries) => entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
