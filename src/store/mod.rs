//! The machines' form on disk.
//!
//! A machine is a directory; a directory without a dot in front, under `machines`, is a machine. So the two changes
//! that matter, making and removing one, are each decided by one rename, and there is nothing a killed command could
//! leave half-made in sight: what is not yet or no longer a machine has a name with a dot in front and is cleared
//! away by the next command that changes something.
//!
//! Reading takes no lock. Changing needs one of two guards, and only these have methods that change: a [`Draft`] for
//! a machine that is being made, an [`EditGuard`] for one that exists. Locks are taken in the order: a machine's edit
//! lock, then the store's; nobody who holds the store's waits for another.

mod data_disk;
pub mod document;
mod draft;
mod edit;
mod error;
#[cfg(test)]
mod killed;
pub mod layout;
mod leftovers;
mod os_disks;
mod ssh_ports;
#[cfg(test)]
pub(crate) mod testing;

use std::io;
use std::path::Path;

use fs_err as fs;
use jiff::Timestamp;
use machine_host::directories::Directories;
use machine_host::lock::FileLock;

pub use draft::Draft;
pub use edit::EditGuard;
pub(crate) use error::not_writable;
pub use error::{CorruptReason, StoreError};
pub use layout::MachineFiles;
pub use os_disks::next_generation;

use crate::machine::{MachineConfig, MachineName, deadlines};
use layout::Places;

/// All machines of one user.
#[derive(Clone, Debug)]
pub struct Store {
    places: Places,
}

/// One machine as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMachine {
    /// What was asked for.
    pub config: MachineConfig,
    /// Where its files are.
    pub files: MachineFiles,
}

/// What a killed command left of a machine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Leftover {
    /// Of one that was being made.
    Unmade(MachineName),
    /// Of one that was removed.
    Removed(MachineName),
}

impl From<layout::Unfinished> for Leftover {
    fn from(unfinished: layout::Unfinished) -> Self {
        match unfinished {
            layout::Unfinished::New { name, .. } => Self::Unmade(name),
            layout::Unfinished::Removed { name, .. } | layout::Unfinished::Kept { name, .. } => {
                Self::Removed(name)
            }
        }
    }
}

/// One machine of the list, readable or not.
pub type Listed = (MachineName, Result<StoredMachine, StoreError>);

impl StoredMachine {
    /// When it was last up; `None` means never.
    pub fn last_up(&self) -> Option<Timestamp> {
        document::read_last_up(&self.files)
    }
}

impl Store {
    /// The store in these directories. Nothing is made or read yet.
    pub fn open(directories: &Directories) -> Self {
        Self {
            places: Places {
                machines: layout::machines(directories),
                short_sockets: directories.short_sockets.clone(),
                data_disks: layout::data_disks(directories),
            },
        }
    }

    /// The directory that holds the machines' own. It may be missing before the first is made.
    pub fn directory(&self) -> &Path {
        &self.places.machines
    }

    /// The names of all machines, sorted.
    pub fn names(&self) -> Result<Vec<MachineName>, StoreError> {
        let entries = match fs::read_dir(&self.places.machines) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(StoreError::Read { source }),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|source| StoreError::Read { source })?;
            let name = entry.file_name();
            let Some(Ok(name)) = name.to_str().map(MachineName::parse) else {
                continue;
            };
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// Reads one machine.
    pub fn load(&self, name: &MachineName) -> Result<StoredMachine, StoreError> {
        let directory = self.places.machine(name);
        let path = directory.join(layout::CONFIG);
        let text = self.read_config(name, &path)?;
        let config = document::parse(name, &path, &text)?;
        if config.name != *name {
            // Where file names do not tell cases apart, `Dev` opens the directory of `dev`.
            return Err(if self.names()?.contains(name) {
                let reason = CorruptReason::OtherName(config.name.to_string());
                StoreError::corrupt(name, &path, reason)
            } else {
                StoreError::not_found(name.as_str())
            });
        }
        let files = MachineFiles::new(directory, config.sockets.clone());
        let files = files.of_generation(config.generation);
        Ok(StoredMachine { config, files })
    }

    fn read_config(&self, name: &MachineName, path: &Path) -> Result<Vec<u8>, StoreError> {
        // A machine that is removed and made again between the two looks has its file at the next try.
        for _ in 0..3 {
            match fs::read(path) {
                Ok(text) => return Ok(text),
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(StoreError::Read { source: error });
                }
                Err(_) if !self.exists(name)? => {
                    return Err(StoreError::not_found(name.as_str()));
                }
                Err(_) => {}
            }
        }
        Err(StoreError::corrupt(name, path, CorruptReason::Missing))
    }

    /// Reads the machine a user named. A text that cannot be a name is the name of no machine.
    pub fn find(&self, text: &str) -> Result<StoredMachine, StoreError> {
        let name = MachineName::parse(text).map_err(|_| StoreError::not_found(text))?;
        self.load(&name)
    }

    /// Reads all machines. What is wrong with one is told in its place and hides no other.
    pub fn list(&self) -> Result<Vec<Listed>, StoreError> {
        let loaded = self.names()?.into_iter().map(|name| {
            let machine = self.load(&name);
            (name, machine)
        });
        // One that was removed since its name was read is no machine any more.
        Ok(loaded
            .filter(|(_, machine)| !matches!(machine, Err(StoreError::NotFound { .. })))
            .collect())
    }

    /// The files of a machine that may be unreadable. Where its file does not tell the directory of the sockets, that is
    /// decided anew, which gives the same answer as when the machine was made.
    pub fn files(&self, name: &MachineName) -> Result<MachineFiles, StoreError> {
        match self.load(name) {
            Ok(machine) => Ok(machine.files),
            Err(error @ StoreError::NotFound { .. }) => Err(error),
            Err(_) => Ok(self.likely_files(name)),
        }
    }

    /// The files that a machine of this name had, where there certainly is none now. Without the directory of all
    /// machines nothing is certain: its file system may not be mounted.
    pub fn absent(&self, name: &MachineName) -> Option<MachineFiles> {
        let gone = matches!(self.exists(name), Ok(false)) && self.places.machines.is_dir();
        gone.then(|| self.likely_files(name))
    }

    /// The files of a machine whose own word on its sockets is not known.
    pub(crate) fn likely_files(&self, name: &MachineName) -> MachineFiles {
        let directory = self.places.machine(name);
        let sockets = self.places.sockets(name);
        MachineFiles::new(directory.clone(), sockets.unwrap_or(directory))
    }

    /// Begins a machine. Nothing shows until [`Draft::commit`]; a draft that is dropped leaves nothing.
    pub fn begin(&self, name: &MachineName) -> Result<Draft, StoreError> {
        Draft::begin(self, name)
    }

    /// Takes the edit lock of a machine that exists, readable or not.
    pub fn edit(&self, name: &MachineName) -> Result<EditGuard, StoreError> {
        EditGuard::acquire(self, name)
    }

    /// Fails with podman's text where the name is taken, also by one that differs in case only.
    pub fn check_free(&self, name: &MachineName) -> Result<(), StoreError> {
        if name.unfit_for_windows() {
            return Err(StoreError::UnfitForWindows { name: name.clone() });
        }
        for existing in self.names()? {
            if existing == *name {
                return Err(StoreError::Exists { name: existing });
            }
            if existing.equals_but_for_case(name) {
                let name = name.clone();
                return Err(StoreError::DiffersInCase { name, existing });
            }
        }
        Ok(())
    }

    /// What killed commands left, which the next change clears away. `None` where another command changes the list of
    /// machines at this moment: nothing is waited for, and where there is nothing no lock is taken.
    pub fn leftovers(&self) -> Result<Option<Vec<Leftover>>, StoreError> {
        if leftovers::unfinished(self)?.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let lock = FileLock::try_acquire(&self.places.lock());
        let Some(_lock) = lock.map_err(|source| StoreError::Lock { source })? else {
            return Ok(None);
        };
        let mut dead = leftovers::unfinished(self)?;
        dead.retain(|unfinished| leftovers::is_dead(self, unfinished));
        let mut dead: Vec<_> = dead.into_iter().map(Leftover::from).collect();
        dead.sort();
        Ok(Some(dead))
    }

    /// Clears away what killed commands left: an `init` is undone, an `rm` is finished.
    pub fn clear_leftovers(&self) -> Result<(), StoreError> {
        if leftovers::unfinished(self)?.is_empty() {
            return Ok(());
        }
        let _lock = self.lock()?;
        leftovers::clear(self).map(drop)
    }

    fn exists(&self, name: &MachineName) -> Result<bool, StoreError> {
        match fs::symlink_metadata(self.places.machine(name)) {
            Ok(metadata) => Ok(metadata.is_dir()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(StoreError::Read { source }),
        }
    }

    /// The lock of the list of machines. It is held for renames and for clearing away, never for a copy.
    fn lock(&self) -> Result<FileLock, StoreError> {
        let limit = deadlines::STORE_LOCK.limit;
        FileLock::acquire(&self.places.lock(), limit).map_err(|source| StoreError::Lock { source })
    }
}

/// Brings a rename in the directory to the disk. Windows opens no directories and needs none of it; a failure costs
/// durability, never consistency, so it is no error.
fn sync_directory(directory: &Path) {
    if let Ok(directory) = fs::File::open(directory) {
        leftovers::tidy(directory.sync_all());
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{Bench, name};
    use super::*;

    #[test]
    fn no_directory_is_no_machine() {
        let bench = Bench::new();
        assert_eq!(bench.store.names().unwrap(), []);
        assert!(bench.store.list().unwrap().is_empty());
        for text in ["gone", "not a name", "../x", "qemu", &"x".repeat(31)] {
            let error = bench.store.find(text).unwrap_err();
            assert_eq!(error.to_string(), format!("{text}: VM does not exist"));
        }
        assert!(
            !bench.store.places.machines.exists(),
            "reading makes nothing"
        );
    }

    #[test]
    fn a_bad_file_hides_no_other_machine() {
        let bench = Bench::new();
        for text in ["good", "bad", "bare"] {
            bench.make(text);
        }
        let bad = bench.store.load(&name("bad")).unwrap().files;
        fs::write(bad.config(), "format = \"1.0\"\nname = 3").unwrap();
        fs::remove_file(bench.store.load(&name("bare")).unwrap().files.config()).unwrap();
        fs::write(bench.store.places.machines.join("a-file"), "").unwrap();

        let listed = bench.store.list().unwrap();
        let shown: Vec<_> = listed
            .iter()
            .map(|(name, machine)| (name.as_str(), machine.is_ok()))
            .collect();
        assert_eq!(shown, [("bad", false), ("bare", false), ("good", true)]);
        for (_, machine) in listed.iter().filter(|(name, _)| name.as_str() != "good") {
            let error = machine.as_ref().unwrap_err();
            assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
        }
        assert!(bench.store.find("good").is_ok());
    }

    #[test]
    fn a_copied_directory_is_told_from_another_case() {
        let bench = Bench::new();
        bench.make("dev");
        let other = bench.store.places.machines.join("copy");
        fs::create_dir(&other).unwrap();
        let original = bench.store.load(&name("dev")).unwrap().files.config();
        fs::copy(original, other.join(layout::CONFIG)).unwrap();
        let error = bench.store.find("copy").unwrap_err();
        assert!(matches!(
            error,
            StoreError::Corrupt { reason, .. } if matches!(*reason, CorruptReason::OtherName(_))
        ));
        assert!(matches!(
            bench.store.find("DEV"),
            Err(StoreError::NotFound { .. })
        ));
    }

    #[test]
    fn listing_takes_no_lock() {
        let bench = Bench::new();
        bench.make("one");
        let _store = bench.store.lock().unwrap();
        let _edit = FileLock::try_acquire(&bench.files("one").edit_lock())
            .unwrap()
            .unwrap();
        std::thread::scope(|scope| {
            let lists: Vec<_> = (0..200)
                .map(|_| scope.spawn(|| bench.store.list().unwrap().len()))
                .collect();
            for list in lists {
                assert_eq!(list.join().unwrap(), 1);
            }
        });
    }
}
