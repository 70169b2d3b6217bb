//! Whose data disk a file is, and where one goes that outlives its machine.

use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;
use machine_host::atomic;

use super::layout::{self, MachineFiles, Places};
use super::{Store, StoreError, sync_directory};
use crate::machine::{DataDisk, MachineConfig, MachineName};

impl MachineFiles {
    /// Where the machine's data disk is, if it has one.
    pub fn data_disk_of(&self, config: &MachineConfig) -> Option<PathBuf> {
        config.data_disk.as_ref().map(|disk| match disk {
            DataDisk::Own => self.data_disk(),
            DataDisk::At(path) => path.clone(),
        })
    }
}

impl Store {
    /// The machines that have the file at `path` as their data disk, or in their directory, `except` aside, sorted. Whatever
    /// way leads to the file, it is the same one.
    pub fn users_of_data_disk(
        &self,
        path: &Path,
        except: Option<&MachineName>,
    ) -> Result<Vec<MachineName>, StoreError> {
        let real = fs::canonicalize(path).ok();
        let mut users = Vec::new();
        for name in self.names()? {
            if except == Some(&name) {
                continue;
            }
            let directory = self.places.machine(&name);
            let is_inside = || {
                let directory = fs::canonicalize(&directory).ok();
                real.as_ref()
                    .zip(directory)
                    .is_some_and(|(real, directory)| real.starts_with(directory))
            };
            // The own disk of one that cannot be read is its own all the same.
            let files = self.likely_files(&name);
            let named = self
                .load(&name)
                .ok()
                .and_then(|machine| machine.files.data_disk_of(&machine.config));
            let mut disks = std::iter::once(files.data_disk()).chain(named);
            if disks.any(|disk| is_same(&disk, path)) || is_inside() {
                users.push(name);
            }
        }
        Ok(users)
    }

    /// Refuses a data disk that another machine has.
    pub fn check_data_disk(&self, path: &Path, own: &MachineName) -> Result<(), StoreError> {
        match self.users_of_data_disk(path, Some(own))?.into_iter().next() {
            Some(machine) => Err(StoreError::DataDiskTaken {
                path: path.to_owned(),
                machine,
            }),
            None => Ok(()),
        }
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    one == other || same_file::is_same_file(one, other).unwrap_or(false)
}

/// Makes sure that there is a place for disks that are kept.
pub(super) fn make_room(places: &Places) -> io::Result<()> {
    atomic::create_private_dir_all(&places.data_disks)
}

/// Moves the data disk out of the directory of a machine that was removed; `None` where there is none any more. The caller
/// holds the store's lock, so that no other command takes the name meanwhile.
pub(super) fn keep(
    places: &Places,
    name: &MachineName,
    directory: &Path,
) -> io::Result<Option<PathBuf>> {
    let disk = MachineFiles::new(directory.to_owned(), directory.to_owned()).data_disk();
    if !is_there(&disk)? {
        return Ok(None);
    }
    make_room(places)?;
    for kept in layout::kept_names(name) {
        let kept = places.data_disks.join(kept);
        if is_there(&kept)? {
            continue;
        }
        fs::rename(&disk, &kept)?;
        sync_directory(&places.data_disks);
        sync_directory(directory);
        return Ok(Some(kept));
    }
    Err(io::Error::new(
        io::ErrorKind::AlreadyExists,
        format!(
            "`{}` holds too many disks of `{name}`",
            places.data_disks.display()
        ),
    ))
}

fn is_there(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, name};
    use super::*;

    fn with_disk(bench: &Bench, text: &str, disk: DataDisk) {
        bench.make(text);
        let guard = bench.store.edit(&name(text)).unwrap();
        let update = guard.update::<StoreError>(|config| {
            config.data_disk = Some(disk);
            Ok(())
        });
        update.unwrap();
    }

    #[test]
    fn a_file_is_its_machines_whatever_it_is_called() {
        let bench = Bench::new();
        let at = |file: &str| bench.root.path().join(file);
        for file in ["free.raw", "taken.raw"] {
            fs::write(at(file), file).unwrap();
        }
        fs::hard_link(at("taken.raw"), at("link.raw")).unwrap();
        with_disk(&bench, "own", DataDisk::Own);
        with_disk(&bench, "at", DataDisk::At(at("taken.raw")));
        let own = bench.files("own");
        fs::write(own.data_disk(), "").unwrap();
        fs::hard_link(own.data_disk(), at("own.raw")).unwrap();
        let user = |path: &Path| {
            let users = bench.store.users_of_data_disk(path, None).unwrap();
            assert!(users.len() < 2, "{users:?}");
            users.first().map(ToString::to_string)
        };
        assert_eq!(user(&at("free.raw")), None);
        assert_eq!(user(&at("gone.raw")), None);
        for file in ["taken.raw", "link.raw"] {
            assert_eq!(user(&at(file)).as_deref(), Some("at"), "{file}");
        }
        for path in [own.data_disk(), at("own.raw"), own.config()] {
            assert_eq!(user(&path).as_deref(), Some("own"), "{}", path.display());
        }
        let around = own.directory().join("../own/data.raw");
        assert_eq!(user(&around).as_deref(), Some("own"));
        // One that is not there is known by its name.
        fs::remove_file(at("taken.raw")).unwrap();
        assert_eq!(user(&at("taken.raw")).as_deref(), Some("at"));
        fs::write(own.config(), "damaged").unwrap();
        assert_eq!(user(&at("own.raw")).as_deref(), Some("own"));

        let error = bench.store.check_data_disk(&at("own.raw"), &name("new"));
        let error = error.unwrap_err();
        assert!(
            error.to_string().ends_with("is that of machine `own`"),
            "{error}"
        );
        let own_one = bench.store.check_data_disk(&at("own.raw"), &name("own"));
        own_one.unwrap();
    }
}
