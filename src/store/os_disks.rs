//! The disks with the operating system that a machine has no more, or not yet.
//!
//! ```text
//! disk-N, base-N made beside those of N-1    killed: nobody names them, and they are cleared away
//! machine.toml names generation N            one rename; from here on those of N-1 are named by nobody
//! those of N-1 removed                       killed before: cleared away by the next change or start
//! ```

use fs_err as fs;

use super::leftovers::{delete_file, tidy};
use super::{MachineFiles, Store, layout};
use crate::machine::MachineName;

/// The generation of a machine's next disk.
pub fn next_generation(generation: u32) -> u32 {
    generation.checked_add(1).unwrap_or(1)
}

impl Store {
    /// Clears away the disks that a machine has no more, and those that a killed command was making. The caller holds the
    /// machine's run lock, so that nobody is making one. A machine that cannot be read keeps all it has, and so do files
    /// that this program cannot have made.
    pub fn clear_other_disks(&self, name: &MachineName) {
        match self.load(name) {
            Ok(machine) => tidy(clear(&machine.files, machine.config.generation)),
            Err(error) => tracing::debug!(%error, "Nobody knows which disk is the machine's"),
        }
    }
}

fn clear(files: &MachineFiles, generation: u32) -> std::io::Result<()> {
    for entry in fs::read_dir(files.directory())? {
        let entry = entry?;
        let found = entry.file_name().to_str().and_then(layout::os_generation);
        let is_left = |found: u32| found < generation || found == next_generation(generation);
        if found.is_some_and(is_left) {
            tidy(delete_file(&entry.path()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::StoreError;
    use super::super::testing::{Bench, name};
    use super::*;

    #[test]
    fn only_what_was_and_what_was_being_made_goes() {
        let bench = Bench::new();
        let machine = bench.make("dev");
        let guard = bench.store.edit(&name("dev")).unwrap();
        guard
            .update::<StoreError>(|config| {
                config.generation = 2;
                Ok(())
            })
            .unwrap();
        let directory = machine.files.directory();
        let gone = [
            "disk.raw",
            "base.raw",
            "disk-1.qcow2",
            "disk-3.qcow2.part",
            "base-3.raw",
        ];
        let kept = [
            "disk-2.qcow2",
            "base-2.raw",
            "data.raw",
            "disk-4.raw",
            "disk.raw.mine",
        ];
        for file in gone.iter().chain(&kept) {
            fs::write(directory.join(file), "").unwrap();
        }
        bench.store.clear_other_disks(&name("dev"));
        for file in gone {
            assert!(!directory.join(file).exists(), "{file}");
        }
        for file in kept {
            assert!(directory.join(file).exists(), "{file}");
        }
        assert!(!directory.join("disk.qcow2").exists(), "that of the first");

        fs::write(machine.files.config(), "damaged").unwrap();
        fs::write(directory.join("disk-1.raw"), "").unwrap();
        bench.store.clear_other_disks(&name("dev"));
        assert!(directory.join("disk-1.raw").exists());
    }

    #[test]
    fn there_is_always_a_next_one() {
        assert_eq!(next_generation(0), 1);
        assert_eq!(next_generation(7), 8);
        assert_eq!(next_generation(u32::MAX), 1);
    }
}
