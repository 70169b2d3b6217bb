//! The note by which a VM is found again when its supervisor is gone. It decides nothing while there is a supervisor.

use std::io;
use std::path::Path;

use machine_host::atomic::{self, Access};
use machine_host::process::ProcessIdentity;
use serde::{Deserialize, Serialize};

use super::vsock::VsockRecord;
use crate::network::egress::EgressPlan;
use crate::provider::HelperProcess;

/// Who the VM process is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VmRecord {
    /// The process, told apart from later ones with the same number.
    pub process: ProcessIdentity,
    /// The programs that belong to it.
    #[serde(default)]
    pub helpers: Vec<HelperProcess>,
    /// Where the guest calls by vsock.
    #[serde(default)]
    pub vsock: Option<VsockRecord>,
    /// What carries the guest's packets.
    #[serde(default)]
    pub network: Option<NetworkRecord>,
    /// The build that launched it.
    pub build: String,
    /// Whether it has been up: its guest has booted, and may have something to lose.
    #[serde(default)]
    pub was_up: bool,
}

/// A program that carries packets, and with what it was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkRecord {
    /// With what.
    pub plan: EgressPlan,
    /// The process; none while it is down.
    pub process: Option<ProcessIdentity>,
}

impl VmRecord {
    /// The record at `path`; a missing or unreadable one is none.
    pub fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&fs_err::read(path).ok()?).ok()
    }

    /// Ends programs that outlived their VM, which can only be when nobody was there to see it end.
    pub fn sweep(path: &Path) {
        let Some(record) = Self::read(path).filter(|record| !record.process.is_alive()) else {
            return;
        };
        let network = record
            .network
            .as_ref()
            .and_then(|network| network.process.as_ref());
        let helpers = record.helpers.iter().map(|helper| &helper.process);
        for helper in helpers.chain(network) {
            if let Err(error) = helper.kill() {
                tracing::warn!(%error, "A program that outlived its VM could not be ended");
            }
        }
    }

    /// Writes the record.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        atomic::write(path, &serde_json::to_vec(self)?, Access::Private)
    }

    /// Notes the process that carries the guest's packets from now on. A note that cannot be written is a process that
    /// is not ended if it outlives everything else, and nothing worse.
    pub fn note_network(path: &Path, process: Option<ProcessIdentity>) {
        let Some(mut record) = Self::read(path) else {
            return;
        };
        if let Some(network) = &mut record.network {
            network.process = process;
        }
        if let Err(error) = record.write(path) {
            tracing::warn!(%error, "The record of the VM cannot be brought up to date");
        }
    }

    /// Notes that the machine is up. Without the note it would be taken over as one that is still starting.
    pub fn note_up(path: &Path) {
        let Some(mut record) = Self::read(path).filter(|record| !record.was_up) else {
            return;
        };
        record.was_up = true;
        if let Err(error) = record.write(path) {
            tracing::warn!(%error, "The record of the VM cannot be brought up to date");
        }
    }

    /// Removes the record, which must be of a VM that has ended.
    pub fn remove(path: &Path) {
        if let Err(error) = fs_err::remove_file(path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "The record of the VM stays behind");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::HelperRole;

    #[test]
    fn a_record_of_before_has_no_helpers() {
        let old = r#"{"process":{"pid":1,"started":2,"boot":"b"},"build":"1"}"#;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vm.json");
        fs_err::write(&path, old).unwrap();
        let record = VmRecord::read(&path).unwrap();
        assert_eq!((record.helpers.len(), record.vsock), (0, None));
        assert_eq!(record.network, None);
        assert!(!record.was_up);
        VmRecord::note_up(&path);
        assert!(VmRecord::read(&path).unwrap().was_up);
        // Its helpers were vsock devices, and nothing said so.
        let helper: HelperProcess =
            serde_json::from_str(r#"{"pid":3,"started":2,"boot":"b"}"#).unwrap();
        assert_eq!(helper.role, HelperRole::Vsock);
        let share = HelperProcess {
            role: HelperRole::Share("/a".to_owned()),
            ..helper.clone()
        };
        let json = serde_json::to_string(&share).unwrap();
        assert_eq!(
            json,
            r#"{"pid":3,"started":2,"boot":"b","role":{"share":"/a"}}"#
        );
        assert_eq!(serde_json::from_str::<HelperProcess>(&json).unwrap(), share);
        let new = VmRecord {
            vsock: Some(VsockRecord::Program),
            helpers: vec![helper],
            ..record
        };
        new.write(&path).unwrap();
        assert_eq!(VmRecord::read(&path), Some(new));
        // The process of neither is there.
        VmRecord::sweep(&path);
    }
}
