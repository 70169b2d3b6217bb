//! Making a machine.
//!
//! ```text
//! begin    .NAME.new-R.lock held, .NAME.new-R/ made     killed: cleared away by the next change
//! …        the caller fills the directory, in whatever time it takes
//! commit   machine.toml, everything on disk, then:
//!          rename .NAME.new-R -> NAME                    before: as above; after: a complete machine
//!          the lock's file removed                       killed before: cleared away by the next change
//! ```
//!
//! The lock lies beside the directory, since Windows does not rename a directory with an open file in it.

use std::path::{Path, PathBuf};

use fs_err as fs;
use machine_host::atomic::{self, Access};
use machine_host::lock::FileLock;

use super::layout::{LOCK_SUFFIX, Unfinished};
use super::{MachineFiles, Store, StoreError, StoredMachine, document, leftovers, sync_directory};
use crate::machine::{DataDisk, MachineConfig, MachineName};

/// A machine that is being made. Dropped without [`Draft::commit`], it leaves nothing.
#[derive(Debug)]
pub struct Draft {
    store: Store,
    name: MachineName,
    files: MachineFiles,
    sockets: PathBuf,
    lock_path: PathBuf,
    // Held until the directory is gone or is the machine's.
    _lock: FileLock,
    committed: bool,
}

impl Draft {
    pub(super) fn begin(store: &Store, name: &MachineName) -> Result<Self, StoreError> {
        let write = |source| StoreError::Write {
            name: name.clone(),
            source,
        };
        // Whether the sockets will have room is known before anything is made.
        let sockets = store.places.sockets(name)?;
        if sockets.to_str().is_none() {
            return Err(StoreError::NotUnicode(sockets));
        }
        atomic::create_private_dir_all(&store.places.machines).map_err(write)?;
        let _store_lock = store.lock()?;
        for unfinished in leftovers::clear(store)? {
            if let Unfinished::New { name: other, .. } = unfinished
                && other.equals_but_for_case(name)
            {
                return Err(StoreError::BeingMade { name: name.clone() });
            }
        }
        store.check_free(name)?;

        let entry = Unfinished::new_entry(name, random(name)?);
        let lock_path = store.places.machines.join(format!("{entry}{LOCK_SUFFIX}"));
        let lock = FileLock::try_acquire(&lock_path)
            .map_err(|source| StoreError::Lock { source })?
            .ok_or_else(|| StoreError::BeingMade { name: name.clone() })?;
        let directory = store.places.machines.join(entry);
        let files = MachineFiles::new(directory.clone(), directory);
        // From here on dropping it clears away what there is.
        let draft = Self {
            store: store.clone(),
            name: name.clone(),
            files,
            sockets,
            lock_path,
            _lock: lock,
            committed: false,
        };
        testing_pause("locked");
        atomic::create_private_dir_all(draft.files.directory()).map_err(write)?;
        testing_pause("directory");
        Ok(draft)
    }

    /// The files of the draft. Their directory is not yet the machine's, so none of these paths may be kept.
    pub fn files(&self) -> &MachineFiles {
        &self.files
    }

    /// The directory the machine will have.
    pub fn final_directory(&self) -> PathBuf {
        self.store.places.machine(&self.name)
    }

    /// The directory of the machine's sockets, for [`MachineConfig::sockets`].
    pub fn sockets(&self) -> &Path {
        &self.sockets
    }

    /// Makes a private directory in the draft.
    pub fn create_directory(&self, path: &Path) -> Result<(), StoreError> {
        atomic::create_private_dir_all(path).map_err(|source| self.write_error(source))
    }

    /// Writes a file that only the user may read.
    pub fn write_private(&self, path: &Path, content: &[u8]) -> Result<(), StoreError> {
        atomic::write(path, content, Access::Private).map_err(|source| self.write_error(source))
    }

    /// Makes it a machine. Fails with podman's text where another command was first.
    pub fn commit(mut self, config: &MachineConfig) -> Result<StoredMachine, StoreError> {
        debug_assert!(config.name == self.name && config.sockets == self.sockets);
        let text = document::render(config)?;
        // The other files were brought to the disk as they were written; the large one only now.
        let disk = self.files.os_disk(config.disk);
        fs::OpenOptions::new()
            .write(true)
            .open(disk)
            .and_then(|disk| disk.sync_all())
            .map_err(|source| self.write_error(source))?;
        self.write_private(&self.files.config(), text.as_bytes())?;
        testing_pause("complete");

        let _store_lock = self.store.lock()?;
        self.store.check_free(&self.name)?;
        if let Some(DataDisk::At(path)) = &config.data_disk {
            self.store.check_data_disk(path, &self.name)?;
        }
        let directory = self.final_directory();
        let short = self.sockets != directory;
        if short {
            atomic::create_private_dir_all(&self.sockets)
                .map_err(|source| self.write_error(source))?;
        }
        testing_pause("sockets");
        if let Err(source) = fs::rename(self.files.directory(), &directory) {
            if short {
                leftovers::tidy(leftovers::delete(&self.sockets));
            }
            return Err(self.write_error(source));
        }
        self.committed = true;
        testing_pause("renamed");
        sync_directory(&self.store.places.machines);
        Ok(StoredMachine {
            config: config.clone(),
            files: MachineFiles::new(directory, self.sockets.clone()),
        })
    }

    fn write_error(&self, source: std::io::Error) -> StoreError {
        StoreError::Write {
            name: self.name.clone(),
            source,
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.committed {
            leftovers::tidy(leftovers::delete(self.files.directory()));
        }
        // Last, and while it is held: where it is gone, the directory is too.
        leftovers::tidy(leftovers::delete_file(&self.lock_path));
    }
}

/// A number that no other directory of this name has.
pub(super) fn random(name: &MachineName) -> Result<u64, StoreError> {
    getrandom::u64().map_err(|error| StoreError::Write {
        name: name.clone(),
        source: error.into(),
    })
}

/// Where the tests stop the program to kill it.
#[cfg(test)]
pub(super) use super::killed::pause as testing_pause;
#[cfg(not(test))]
pub(super) fn testing_pause(_step: &str) {}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, config, name, open};
    use super::*;

    fn begin(bench: &Bench, text: &str) -> Result<Draft, StoreError> {
        bench.store.begin(&name(text))
    }

    #[test]
    fn what_was_committed_is_there_and_nothing_else() {
        let bench = Bench::new();
        let made = bench.make("dev");
        assert_eq!(bench.store.load(&name("dev")).unwrap(), made);
        assert_eq!(made.last_up(), None);
        assert_eq!(bench.hidden(), [""; 0]);
        assert_eq!(made.files.sockets(), made.files.directory());
    }

    #[test]
    fn nothing_shows_before_commit_and_nothing_stays_without_it() {
        let bench = Bench::new();
        let draft = begin(&bench, "dev").unwrap();
        draft.write_private(&draft.files().secret(), b"x").unwrap();
        assert!(bench.store.names().unwrap().is_empty());
        assert_eq!(bench.hidden().len(), 2);
        drop(draft);
        assert_eq!(bench.hidden(), [""; 0]);
        bench.make("dev");
    }

    #[test]
    fn a_taken_name_is_refused_also_in_another_case() {
        let bench = Bench::new();
        bench.make("dev");
        let text = |result: Result<Draft, StoreError>| result.unwrap_err().to_string();
        assert_eq!(text(begin(&bench, "dev")), "machine \"dev\" already exists");
        assert_eq!(
            text(begin(&bench, "Dev")),
            "machine \"Dev\" differs only in case from the existing machine \"dev\""
        );
        assert!(matches!(
            begin(&bench, "nul"),
            Err(StoreError::UnfitForWindows { .. })
        ));
        assert_eq!(bench.hidden(), [""; 0]);
    }

    #[test]
    fn of_two_at_the_same_time_one_wins() {
        let bench = Bench::new();
        let first = begin(&bench, "dev").unwrap();
        for text in ["dev", "DEV"] {
            let error = begin(&bench, text).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("machine \"{text}\" already exists")
            );
            assert!(error.hints()[0].contains("at this moment"));
        }
        begin(&bench, "other").unwrap();
        drop(first);
        begin(&bench, "dev").unwrap();
    }

    #[test]
    fn many_at_the_same_time_make_one_machine() {
        let bench = Bench::new();
        let made = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..16)
                .map(|_| {
                    scope.spawn(|| {
                        let draft = open(bench.root.path()).begin(&name("dev"))?;
                        let sockets = draft.sockets().display().to_string();
                        fs::write(draft.files().os_disk(crate::machine::DiskFormat::Qcow2), "")
                            .unwrap();
                        draft.commit(&config("dev", &sockets))
                    })
                })
                .collect();
            let results = threads.into_iter().map(|thread| thread.join().unwrap());
            results
                .filter(|result| match result {
                    Ok(_) => true,
                    Err(error) => {
                        assert_eq!(error.to_string(), "machine \"dev\" already exists");
                        false
                    }
                })
                .count()
        });
        assert_eq!(made, 1);
        assert_eq!(bench.hidden(), [""; 0]);
    }

    #[test]
    fn a_directory_that_appears_meanwhile_is_not_replaced() {
        let bench = Bench::new();
        let draft = begin(&bench, "dev").unwrap();
        let sockets = draft.sockets().display().to_string();
        fs::write(draft.files().os_disk(crate::machine::DiskFormat::Qcow2), "").unwrap();
        fs::create_dir(draft.final_directory()).unwrap();
        let error = draft.commit(&config("dev", &sockets)).unwrap_err();
        assert_eq!(error.to_string(), "machine \"dev\" already exists");
        assert_eq!(bench.hidden(), [""; 0]);
    }

    #[test]
    fn a_failed_commit_leaves_nothing() {
        let bench = Bench::new();
        let draft = begin(&bench, "dev").unwrap();
        let sockets = draft.sockets().display().to_string();
        // There is no disk.
        assert!(draft.commit(&config("dev", &sockets)).is_err());
        assert!(bench.store.names().unwrap().is_empty());
        assert_eq!(bench.hidden(), [""; 0]);
    }
}
