//! Changing and removing a machine that exists.

use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;
use machine_host::atomic::{self, Access};
use machine_host::lock::{FileLock, LockError};

use super::draft::{random, testing_pause};
use super::layout::Unfinished;
use super::{MachineFiles, Store, StoreError, data_disk, document, leftovers, sync_directory};
use crate::machine::{MachineConfig, MachineName, deadlines};

/// The right to change the files of one machine. Others wait for it, so it is held for a change of files only, never
/// while a guest boots or a user thinks.
#[derive(Debug)]
pub struct EditGuard {
    store: Store,
    name: MachineName,
    files: MachineFiles,
    lock: FileLock,
    /// The supervisor's lock, where no supervisor may come.
    stopped: Option<FileLock>,
}

impl EditGuard {
    pub(super) fn acquire(store: &Store, name: &MachineName) -> Result<Self, StoreError> {
        if !store.exists(name)? {
            return Err(StoreError::not_found(name.as_str()));
        }
        let path = store.places.machine(name).join("edit.lock");
        let lock = match FileLock::acquire(&path, deadlines::EDIT_LOCK.limit) {
            Ok(lock) => lock,
            // It was removed while we waited.
            Err(_) if !store.exists(name)? => return Err(StoreError::not_found(name.as_str())),
            Err(source @ LockError::Held { .. }) => {
                let name = name.clone();
                return Err(StoreError::Locked { name, source });
            }
            Err(source) => return Err(StoreError::Lock { source }),
        };
        // Read under the lock: it may be another machine of this name than before the wait.
        let files = store.files(name)?;
        let ours = [
            files.config(),
            files.ignition(),
            files.secret(),
            files.known_hosts(),
            files.data_disk(),
        ];
        for file in ours {
            atomic::clear_temporaries(&file);
        }
        Ok(Self {
            store: store.clone(),
            name: name.clone(),
            files,
            lock,
            stopped: None,
        })
    }

    /// The machine's files.
    pub fn files(&self) -> &MachineFiles {
        &self.files
    }

    /// Keeps the machine from being started for as long as the lock lives; `None` where a supervisor has it already.
    ///
    /// For changes that a VM must not run under, such as that of its disk. What a killed command left of such a change is
    /// cleared away.
    pub fn keep_stopped(&self) -> Result<Option<FileLock>, StoreError> {
        let lock = FileLock::try_acquire(&self.files.run_lock())
            .map_err(|source| StoreError::Lock { source })?;
        if lock.is_some() {
            self.store.clear_other_disks(&self.name);
            // What a supervisor writes.
            for file in [
                self.files.seed(),
                self.files.vm_record(),
                self.files.last_up(),
            ] {
                atomic::clear_temporaries(&file);
            }
        }
        Ok(lock)
    }

    /// Keeps the machine from being started for as long as the guard lives. Fails where a supervisor has it already.
    pub fn stay_stopped(&mut self) -> Result<(), StoreError> {
        if self.stopped.is_none() {
            let lock = self.keep_stopped()?.ok_or_else(|| StoreError::InUse {
                name: self.name.clone(),
            })?;
            self.stopped = Some(lock);
        }
        Ok(())
    }

    /// Clears away the disks that the machine has no more since the last change. The caller keeps it stopped.
    pub fn clear_other_disks(&self, _stopped: &FileLock) {
        self.store.clear_other_disks(&self.name);
    }

    /// Changes what the machine is asked to be, and returns it with the change. Comments and keys that this program does
    /// not know stay. Nothing is written where `change` leaves it as it is, or fails.
    pub fn update<E: From<StoreError>>(
        &self,
        change: impl FnOnce(&mut MachineConfig) -> Result<(), E>,
    ) -> Result<MachineConfig, E> {
        let path = self.files.config();
        let old = self.store.load(&self.name)?.config;
        let mut config = old.clone();
        change(&mut config)?;
        config
            .check()
            .map_err(|error| StoreError::corrupt(&self.name, &path, error.into()))?;
        if config != old {
            let text = fs::read(&path).map_err(|source| StoreError::Read { source })?;
            let text = document::amend(&self.name, &path, &text, &config)?;
            atomic::write(&path, text.as_bytes(), Access::Private).map_err(|source| {
                StoreError::Write {
                    name: self.name.clone(),
                    source,
                }
            })?;
        }
        Ok(config)
    }

    /// Removes the machine with all its files. One rename decides it; the deletion after that is finished by the next
    /// command that changes something, should this one be killed.
    ///
    /// A supervisor that lives, or that is just starting, keeps the machine: its lock is taken too.
    pub fn remove(self) -> Result<(), StoreError> {
        self.take_away(false).map(drop)
    }

    /// Removes the machine as [`remove`](Self::remove) does, but for its own data disk, and says where that is now; `None`
    /// where it had none. Killed at any point it is whole, or gone with the disk in its new place after the next command
    /// that changes something.
    pub fn remove_but_data(self) -> Result<Option<PathBuf>, StoreError> {
        self.take_away(true)
    }

    fn take_away(mut self, keep_data: bool) -> Result<Option<PathBuf>, StoreError> {
        let store_lock = self.store.lock()?;
        leftovers::tidy(leftovers::clear(&self.store).map(drop));
        self.stay_stopped()?;
        let locks = (self.stopped, self.lock);
        let name = self.name;
        let write_error = |source| StoreError::Write {
            name: name.clone(),
            source,
        };
        let entry = if keep_data {
            data_disk::make_room(&self.store.places).map_err(write_error)?;
            Unfinished::kept_entry(&name, random(&name)?)
        } else {
            Unfinished::removed_entry(&name, random(&name)?)
        };
        let removed = self.store.places.machines.join(entry);
        let rename = || fs::rename(self.files.directory(), &removed);
        testing_pause("removing");
        match rename() {
            // Windows deletes no file that is open, and these locks now keep nobody out.
            Ok(()) => drop(locks),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                // Windows renames no directory with an open file in it. Whoever takes a lock in the short time until
                // the next try makes it fail again, and the machine stays whole.
                drop(locks);
                rename_unlocked(&self.files, &removed).map_err(write_error)?;
            }
            Err(source) => return Err(write_error(source)),
        }
        testing_pause("removed");
        sync_directory(&self.store.places.machines);
        let sockets = leftovers::delete_short_sockets(&self.store, &name);
        let mut kept = None;
        if keep_data {
            let moved = data_disk::keep(&self.store.places, &name, &removed);
            kept = moved.map_err(|source| StoreError::DataDiskNotMoved {
                path: MachineFiles::new(removed.clone(), removed.clone()).data_disk(),
                source,
            })?;
            testing_pause("kept");
        }
        drop(store_lock);
        let remains = |path: &Path| {
            let path = path.to_owned();
            move |source| StoreError::Remains { path, source }
        };
        leftovers::delete_removed(&removed).map_err(remains(&removed))?;
        sockets.map_err(remains(&self.store.places.short_sockets(&name)))?;
        Ok(kept)
    }
}

fn rename_unlocked(files: &MachineFiles, removed: &Path) -> io::Result<()> {
    fs::rename(files.directory(), removed)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, name, open};
    use super::super::{Store, layout};
    use super::*;

    #[test]
    fn a_removed_machine_is_gone_with_all_its_files() {
        let bench = Bench::new();
        let machine = bench.make("dev");
        fs::create_dir(machine.files.ssh_directory()).unwrap();
        fs::write(machine.files.ssh_client_key(), "").unwrap();
        bench.store.edit(&name("dev")).unwrap().remove().unwrap();
        assert!(bench.store.names().unwrap().is_empty());
        assert_eq!(bench.hidden(), [""; 0]);
        assert!(matches!(
            bench.store.edit(&name("dev")),
            Err(StoreError::NotFound { .. })
        ));
        bench.make("dev");
    }

    #[test]
    fn a_machine_stays_stopped_for_as_long_as_its_guard_lives() {
        let bench = Bench::new();
        let run_lock = bench.make("dev").files.run_lock();
        let supervisor = || FileLock::try_acquire(&run_lock).unwrap();
        let mut guard = bench.store.edit(&name("dev")).unwrap();
        guard.stay_stopped().unwrap();
        assert!(supervisor().is_none(), "it could be started");
        // Asked once more it has nothing to wait for.
        guard.stay_stopped().unwrap();
        drop(guard);
        let held = supervisor();
        assert!(held.is_some(), "it stays locked");
        let mut guard = bench.store.edit(&name("dev")).unwrap();
        assert!(matches!(
            guard.stay_stopped(),
            Err(StoreError::InUse { .. })
        ));
        assert!(guard.remove().is_err());
        assert!(bench.store.exists(&name("dev")).unwrap());
    }

    #[test]
    fn a_change_is_kept_and_a_failed_one_is_not() {
        let bench = Bench::new();
        let machine = bench.make("dev");
        let guard = bench.store.edit(&name("dev")).unwrap();
        let changed = guard
            .update::<StoreError>(|config| {
                config.rootful = true;
                Ok(())
            })
            .unwrap();
        assert!(changed.rootful);
        assert_eq!(bench.store.load(&name("dev")).unwrap().config, changed);
        let refused = guard.update(|config| {
            config.rootful = false;
            Err(StoreError::not_found("x"))
        });
        assert!(refused.is_err());
        let nonsense = guard.update::<StoreError>(|config| {
            config.resources.cpus = 0;
            Ok(())
        });
        assert!(nonsense.is_err());
        assert_eq!(bench.store.load(&name("dev")).unwrap().config, changed);
        drop(machine);
    }

    #[test]
    fn a_live_supervisor_keeps_its_machine() {
        let bench = Bench::new();
        let machine = bench.make("dev");
        let _run = FileLock::try_acquire(&machine.files.run_lock())
            .unwrap()
            .unwrap();
        let error = bench
            .store
            .edit(&name("dev"))
            .unwrap()
            .remove()
            .unwrap_err();
        assert_eq!(error.to_string(), "running vm \"dev\" cannot be destroyed");
        assert_eq!(bench.store.load(&name("dev")).unwrap(), machine);
    }

    #[test]
    fn an_unreadable_machine_can_be_removed() {
        let bench = Bench::new();
        let machine = bench.make("dev");
        fs::remove_file(machine.files.config()).unwrap();
        bench.store.edit(&name("dev")).unwrap().remove().unwrap();
        assert!(bench.store.names().unwrap().is_empty());
    }

    #[test]
    fn the_short_directory_goes_with_its_machine_and_a_foreign_one_stays() {
        let root = tempfile::tempdir().unwrap();
        let mut store: Store = open(root.path());
        store.places.machines = root.path().join("d".repeat(90)).join("machines");
        let machine = super::super::testing::make(&store, "dev");
        assert!(
            machine
                .files
                .sockets()
                .starts_with(&store.places.short_sockets)
        );
        assert!(machine.files.sockets().is_dir());

        // Edited by hand: we delete nothing that we did not make.
        let foreign = root.path().join("precious");
        fs::create_dir(&foreign).unwrap();
        let text = fs::read_to_string(machine.files.config()).unwrap();
        let quoted = |path: &std::path::Path| format!("{:?}", path.display().to_string());
        let edited = text.replace(&quoted(machine.files.sockets()), &quoted(&foreign));
        fs::write(machine.files.config(), edited).unwrap();

        store.edit(&name("dev")).unwrap().remove().unwrap();
        assert!(!machine.files.sockets().exists());
        assert!(foreign.is_dir());
    }

    #[test]
    fn last_up_is_kept() {
        let bench = Bench::new();
        bench.make("dev");
        let time = "2026-06-11T08:00:00.5Z".parse().unwrap();
        let machine = bench.store.load(&name("dev")).unwrap();
        document::write_last_up(&machine.files, time).unwrap();
        assert_eq!(machine.last_up(), Some(time));
        fs::write(machine.files.last_up(), "yesterday").unwrap();
        assert_eq!(machine.last_up(), None);
    }

    #[test]
    fn the_lock_is_where_the_layout_says() {
        let bench = Bench::new();
        let machine = bench.make("dev");
        let _guard = bench.store.edit(&name("dev")).unwrap();
        assert!(
            FileLock::try_acquire(&machine.files.edit_lock())
                .unwrap()
                .is_none()
        );
        assert_eq!(machine.files.config().file_name().unwrap(), layout::CONFIG);
    }
}
