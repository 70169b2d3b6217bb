//! Whether a machine's data disk can be used, looked at before there is a VM: what is missing or somebody else's is told in
//! our words, not in the hypervisor's.

use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;
use machine_protocol::boot::{DATA_DISK_SERIAL, DataDisk as GuestDataDisk};

use super::events::{Code, Failure};
use super::record::VmRecord;
use crate::machine::{DataDisk, MachineConfig, MachineName};
use crate::provider::ProviderError;
use crate::store::{MachineFiles, Store};

/// The data disk of a machine that is to start; `None` where it has none.
pub(super) fn check(
    store: &Store,
    config: &MachineConfig,
    files: &MachineFiles,
) -> Result<Option<PathBuf>, Failure> {
    let Some(disk) = files.data_disk_of(config) else {
        return Ok(None);
    };
    if let Err(cause) = usable(&disk) {
        return Err(unusable(config, &disk, cause));
    }
    if let Some(other) = runs_with(store, &config.name, &disk) {
        let failure = failure(&disk)
            .because(format!("Machine `{other}` runs with it"))
            .hint(format!("Stop that machine first: `machine stop {other}`"));
        return Err(failure);
    }
    Ok(Some(disk))
}

/// How the guest finds it.
pub(super) fn for_guest(config: &MachineConfig) -> Option<GuestDataDisk> {
    config.data_disk.as_ref().map(|_| GuestDataDisk {
        serial: DATA_DISK_SERIAL.to_owned(),
    })
}

/// Says what kind of failure it is that the hypervisor did not get the disk.
pub(super) fn explain(error: &ProviderError, disk: Option<&Path>, failure: Failure) -> Failure {
    match error {
        ProviderError::DiskInUse { disk: refused, .. } if Some(refused.as_path()) == disk => {
            failure.coded(Code::DataDisk)
        }
        _ => failure,
    }
}

/// Opens it as the VM will. A directory opens for reading alone, and a device only where it may be written.
fn usable(disk: &Path) -> Result<(), String> {
    let found = match fs::metadata(disk) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err("It does not exist".to_owned());
        }
        Err(error) => return Err(error.to_string()),
    };
    if found.is_dir() {
        return Err("It is a directory".to_owned());
    }
    if !found.is_file() {
        return Err("It is no file".to_owned());
    }
    let opened = fs::OpenOptions::new().read(true).write(true).open(disk);
    opened.map(drop).map_err(|error| error.to_string())
}

/// The machine whose VM has the file now, if one has.
fn runs_with(store: &Store, own: &MachineName, disk: &Path) -> Option<MachineName> {
    let users = store.users_of_data_disk(disk, Some(own)).ok()?;
    users.into_iter().find(|name| {
        let files = store.files(name).ok();
        let record = files.and_then(|files| VmRecord::read(&files.vm_record()));
        record.is_some_and(|record| record.process.is_alive())
    })
}

fn failure(disk: &Path) -> Failure {
    let text = format!("The data disk `{}` cannot be used", disk.display());
    Failure::new(text).coded(Code::DataDisk)
}

fn unusable(config: &MachineConfig, disk: &Path, cause: String) -> Failure {
    let name = &config.name;
    let failure = failure(disk).because(cause);
    match config.data_disk {
        Some(DataDisk::At(_)) => failure.hint(format!(
            "Put the file back, or let it be read and written; if it is somewhere else now, remove the machine, which leaves \
             the file alone: `machine rm {name}`, then `machine init --data-disk FILE {name}`"
        )),
        _ => failure.hint(format!(
            "Put the disk back, or make the machine anew: `machine rm -f {name}`, then `machine init {name}`"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::Bench;

    fn config(name: &str, disk: Option<DataDisk>) -> MachineConfig {
        MachineConfig {
            data_disk: disk,
            ..crate::store::testing::config(name, "/m/dev")
        }
    }

    #[test]
    fn a_disk_that_can_be_used_is_found() {
        let bench = Bench::new();
        let files = bench.make("dev").files;
        let look = |disk| check(&bench.store, &config("dev", disk), &files);
        assert_eq!(look(None), Ok(None));
        fs::write(files.data_disk(), "").unwrap();
        assert_eq!(look(Some(DataDisk::Own)), Ok(Some(files.data_disk())));
        let theirs = bench.root.path().join("theirs.raw");
        fs::write(&theirs, "").unwrap();
        let at = Some(DataDisk::At(theirs.clone()));
        assert_eq!(look(at.clone()), Ok(Some(theirs)));
        assert_eq!(for_guest(&config("dev", None)), None);
        let serial = DATA_DISK_SERIAL.to_owned();
        assert_eq!(
            for_guest(&config("dev", at)),
            Some(GuestDataDisk { serial })
        );
    }

    #[test]
    fn what_is_wrong_is_told_with_a_way_out() {
        let bench = Bench::new();
        let files = bench.make("dev").files;
        let failed = |disk| {
            let failure = check(&bench.store, &config("dev", Some(disk)), &files).unwrap_err();
            assert_eq!(failure.code, Code::DataDisk);
            failure
        };
        let own = failed(DataDisk::Own);
        assert!(own.message.ends_with("data.raw` cannot be used"), "{own:?}");
        assert_eq!(own.detail, ["It does not exist"]);
        assert!(own.hints[0].contains("machine rm -f dev"), "{own:?}");
        let at = failed(DataDisk::At(bench.root.path().to_owned()));
        assert_eq!(at.detail, ["It is a directory"]);
        assert!(
            at.hints[0].contains("machine init --data-disk FILE dev"),
            "{at:?}"
        );
    }

    #[test]
    fn a_file_that_another_vm_has_is_not_taken() {
        let bench = Bench::new();
        let theirs = bench.root.path().join("theirs.raw");
        fs::write(&theirs, "").unwrap();
        for name in ["a", "b"] {
            let guard = {
                bench.make(name);
                bench.store.edit(&name.parse().unwrap()).unwrap()
            };
            let update = guard.update::<crate::store::StoreError>(|config| {
                config.data_disk = Some(DataDisk::At(theirs.clone()));
                Ok(())
            });
            update.unwrap();
        }
        let machine = bench.store.find("b").unwrap();
        let look = || check(&bench.store, &machine.config, &machine.files);
        assert_eq!(look(), Ok(Some(theirs.clone())), "the other one is stopped");
        let us = machine_host::process::ProcessIdentity::of(std::process::id());
        let record = VmRecord {
            process: us.unwrap().unwrap(),
            helpers: Vec::new(),
            vsock: None,
            network: None,
            was_up: false,
            build: String::new(),
        };
        record.write(&bench.files("a").vm_record()).unwrap();
        let failure = look().unwrap_err();
        assert_eq!(failure.code, Code::DataDisk);
        assert_eq!(failure.detail, ["Machine `a` runs with it"]);
        assert_eq!(failure.hints, ["Stop that machine first: `machine stop a`"]);
    }
}
