//! The note by which a VM is found again when its supervisor is gone. It decides nothing while there is a supervisor.

use std::io;
use std::path::Path;

use machine_host::atomic::{self, Access};
use machine_host::process::ProcessIdentity;
use serde::{Deserialize, Serialize};

/// Who the VM process is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VmRecord {
    /// The process, told apart from later ones with the same number.
    pub process: ProcessIdentity,
    /// The build that launched it.
    pub build: String,
}

impl VmRecord {
    /// The record at `path`; a missing or unreadable one is none.
    pub fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&fs_err::read(path).ok()?).ok()
    }

    /// Writes the record.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        atomic::write(path, &serde_json::to_vec(self)?, Access::Private)
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
