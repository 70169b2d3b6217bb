//! Clearing away what a killed command left.

use std::io;
use std::path::Path;

use fs_err as fs;
use machine_host::lock::FileLock;
use tracing::{debug, warn};

use super::layout::{LOCK_SUFFIX, Unfinished};
use super::{Store, StoreError, data_disk};
use crate::machine::MachineName;

/// What is not yet or no longer a machine, alive or not, each once; nothing where there is no directory.
pub(super) fn unfinished(store: &Store) -> Result<Vec<Unfinished>, StoreError> {
    let read = |source| StoreError::Read { source };
    let entries = match fs::read_dir(&store.places.machines) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(read(source)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.map_err(read)?.file_name();
        if let Some(unfinished) = name.to_str().and_then(Unfinished::parse)
            && !found.contains(&unfinished)
        {
            found.push(unfinished);
        }
    }
    Ok(found)
}

/// Whether nobody works at it any more. The caller holds the store's lock, so no draft is between its lock's file and
/// its lock.
pub(super) fn is_dead(store: &Store, unfinished: &Unfinished) -> bool {
    let Unfinished::New { entry, .. } = unfinished else {
        return true;
    };
    let path = store.places.machines.join(format!("{entry}{LOCK_SUFFIX}"));
    // To look for the lock of one without its file would make the file.
    !path.exists() || matches!(FileLock::try_acquire(&path), Ok(Some(_)))
}

/// Clears away the leftovers and returns the drafts that are alive. The caller holds the store's lock.
///
/// What cannot be deleted is only logged: it is in nobody's way.
pub(super) fn clear(store: &Store) -> Result<Vec<Unfinished>, StoreError> {
    let read = |source| StoreError::Read { source };
    let mut alive = Vec::new();
    for entry in fs::read_dir(&store.places.machines).map_err(read)? {
        let entry = entry.map_err(read)?;
        let Some(unfinished) = entry.file_name().to_str().and_then(Unfinished::parse) else {
            continue;
        };
        let name = match &unfinished {
            Unfinished::New { name, entry } => {
                let directory = store.places.machines.join(entry);
                let path = store.places.machines.join(format!("{entry}{LOCK_SUFFIX}"));
                match FileLock::try_acquire(&path) {
                    Ok(Some(_lock)) => {
                        tidy(delete(&directory).and_then(|()| delete_file(&path)));
                    }
                    Ok(None) => {
                        if !alive.contains(&unfinished) {
                            alive.push(unfinished);
                        }
                        continue;
                    }
                    Err(error) => {
                        warn!(?error, "a leftover could not be locked");
                        continue;
                    }
                }
                name
            }
            Unfinished::Removed { name, entry } => {
                tidy(delete(&store.places.machines.join(entry)));
                name
            }
            Unfinished::Kept { name, entry } => {
                let directory = store.places.machines.join(entry);
                let kept = data_disk::keep(&store.places, name, &directory);
                tidy(kept.and_then(|_| delete(&directory)));
                name
            }
        };
        tidy(delete_short_sockets(store, name));
    }
    Ok(alive)
}

/// Deletes the short directory of a machine's sockets, unless there is such a machine. The caller holds the store's
/// lock, so none appears meanwhile. A file or a link in its place is somebody else's and stays.
pub(super) fn delete_short_sockets(store: &Store, name: &MachineName) -> io::Result<()> {
    if fs::symlink_metadata(store.places.machine(name)).is_ok() {
        return Ok(());
    }
    let directory = store.places.short_sockets(name);
    match fs::symlink_metadata(&directory) {
        Ok(found) if !found.is_dir() => Ok(()),
        _ => delete(&directory),
    }
}

/// Deletes a directory with all that is in it; it may be gone already, or be going.
pub(super) fn delete(directory: &Path) -> io::Result<()> {
    absent_is_fine(fs::remove_dir_all(directory))
}

/// Deletes what a removed machine left, but for what somebody still reads: such a file keeps its name on Windows and gets
/// another on NFS until it is closed, so its directory is left to the next change.
pub(super) fn delete_removed(directory: &Path) -> io::Result<()> {
    match delete(directory) {
        // Nothing but what is already deleted: a file that cannot be deleted has an error of its own.
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
            debug!(?error, "somebody still reads what is deleted");
            Ok(())
        }
        other => other,
    }
}

/// Deletes a file that may be gone already.
pub(super) fn delete_file(path: &Path) -> io::Result<()> {
    absent_is_fine(fs::remove_file(path))
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// What cannot be cleared away now is left to the next change.
pub(super) fn tidy<E: std::fmt::Debug>(result: Result<(), E>) {
    if let Err(error) = result {
        warn!(?error, "a leftover could not be cleared away");
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bench;
    use super::*;

    #[test]
    fn what_somebody_still_reads_goes_with_the_next_change() {
        let bench = Bench::new();
        let removed = bench
            .store
            .places
            .machines
            .join(".dev.removed-0123456789abcdef");
        fs::create_dir_all(&removed).unwrap();
        let path = removed.join("machine.toml");
        fs::write(&path, "read").unwrap();
        let reader = fs::File::open(&path).unwrap();
        delete_removed(&removed).unwrap();
        drop(reader);
        clear(&bench.store).unwrap();
        assert_eq!(bench.hidden(), [""; 0]);
    }
}
