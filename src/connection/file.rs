//! The file with podman's connections: read without a lock, changed under podman's own.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;
use machine_host::atomic::{self, Access};
use machine_host::directories::{self, Directories};
use machine_host::lock::LockError;
use machine_host::record_lock::RecordLock;
use serde_json::Value;

use super::{ConnectionError, Connections};
use crate::machine::deadlines;

/// The variable that names the file.
pub const PODMAN_CONNECTIONS_CONF: &str = "PODMAN_CONNECTIONS_CONF";
/// The file's name in the user's directory for container tools.
const NAME: &str = "podman-connections.json";

/// The file with podman's connections. It need not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionsFile {
    path: PathBuf,
}

impl ConnectionsFile {
    /// The file at this path.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The file that podman would use with the variables that `env` returns: what `PODMAN_CONNECTIONS_CONF` names, else
    /// the one in the user's directory for container tools.
    pub fn locate(env: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, ConnectionError> {
        match env(PODMAN_CONNECTIONS_CONF).filter(|value| !value.is_empty()) {
            Some(path) => Ok(Self::at(path)),
            None => Ok(Self::at(Directories::containers(env)?.join(NAME))),
        }
    }

    /// The file that podman would use in the environment of this process.
    pub fn from_environment() -> Result<Self, ConnectionError> {
        Self::locate(&directories::environment)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Podman's lock of it.
    pub fn lock_path(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".lock");
        PathBuf::from(name)
    }

    /// What it says; nothing where it is missing. It is replaced as a whole by who changes it, so no lock is needed.
    pub fn read(&self) -> Result<Connections, ConnectionError> {
        let failed = |source| ConnectionError::Read {
            path: self.path.clone(),
            source,
        };
        match fs::metadata(&self.path) {
            // A pipe could keep us waiting for ever.
            Ok(metadata) if !metadata.is_file() => {
                let path = self.path.clone();
                return Err(ConnectionError::NotAFile { path });
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Connections::default());
            }
            Err(source) => return Err(failed(source)),
        }
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Connections::default());
            }
            Err(source) => return Err(failed(source)),
        };
        let value: Value =
            serde_json::from_slice(&bytes).map_err(|source| ConnectionError::Damaged {
                path: self.path.clone(),
                source,
            })?;
        Connections::from_value(value).map_err(|wrong| ConnectionError::UnknownForm {
            path: self.path.clone(),
            key: wrong.key,
            found: wrong.found,
            wanted: wrong.wanted,
        })
    }

    /// Changes what it says, under podman's lock. Nothing is written where `change` fails or leaves all as it is, and
    /// what is written is either all there or not at all.
    pub fn edit<T>(
        &self,
        change: impl FnOnce(&mut Connections) -> Result<T, ConnectionError>,
    ) -> Result<T, ConnectionError> {
        let _lock = self.lock()?;
        let old = self.read()?;
        let mut new = old.clone();
        let result = change(&mut new)?;
        if new != old {
            self.write(&new)?;
        }
        Ok(result)
    }

    fn lock(&self) -> Result<RecordLock, ConnectionError> {
        let limit = deadlines::CONNECTIONS_LOCK.limit;
        RecordLock::acquire(&self.lock_path(), limit).map_err(|source| {
            let path = self.path.clone();
            match source {
                LockError::Held { .. } => ConnectionError::Locked { path, source },
                LockError::Open { .. } | LockError::Take { .. } => {
                    ConnectionError::Lock { path, source }
                }
            }
        })
    }

    fn write(&self, connections: &Connections) -> Result<(), ConnectionError> {
        let failed = |source| ConnectionError::Write {
            path: self.path.clone(),
            source,
        };
        let text = serde_json::to_string(connections).map_err(|error| failed(error.into()))?;
        // As Go writes JSON: both programs then leave each other's bytes as they are.
        let text = text.replace('&', "\\u0026").replace('<', "\\u003c");
        let text = text.replace('>', "\\u003e") + "\n";
        // The lock is beside it, so its directory is there.
        atomic::clear_temporaries(&self.path);
        atomic::write(&self.path, text.as_bytes(), Access::Shared).map_err(failed)
    }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
