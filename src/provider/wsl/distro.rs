//! A machine's distribution: what it is called, and how it comes to be there whole and as the machine's own.
//!
//! WSL keeps distributions outside of the machine's directory, and an import takes minutes. So the directory has a record
//! of what was begun and what was done: a distribution that no record knows is somebody else's, and half of one is
//! removed and imported again.

use std::io;
use std::path::{Path, PathBuf};

use machine_host::atomic::{self, Access};
use serde::{Deserialize, Serialize};

use sha2::{Digest as _, Sha256};

use super::answer;
use super::error::WslError;
use super::run::Wsl;

/// The name of a machine's distribution. Those of podman begin with `podman-`, so the two never meet; a machine with its
/// files elsewhere (`MACHINE_HOME`) is told apart by `place`.
pub fn name(machine: &str, place: Option<u32>) -> String {
    match place {
        None => format!("machine-{machine}"),
        Some(place) => format!("machine-{machine}-{place:08x}"),
    }
}

/// The name for the distribution of this machine, whose directory of the provider's this is.
pub fn own_name(directory: &Path, machine: &str) -> String {
    let digest = Sha256::digest(directory.as_os_str().as_encoded_bytes());
    let [a, b, c, d, ..] = digest.0;
    name(machine, Some(u32::from_be_bytes([a, b, c, d])))
}

/// The machine whose distribution may have this name; none where no machine's has.
pub fn machine_of(name: &str) -> Option<&str> {
    let (machine, place) = name.strip_prefix("machine-")?.rsplit_once('-')?;
    let is_place = |digit: u8| digit.is_ascii_digit() || matches!(digit, b'a'..=b'f');
    (place.len() == 8 && place.bytes().all(is_place)).then_some(machine)
}

/// What is noted of a distribution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its name.
    pub name: String,
    /// The program that it was imported by.
    pub program: PathBuf,
    /// How far that got.
    pub progress: Progress,
}

/// How far an import got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Progress {
    /// It was begun.
    Importing,
    /// It was done.
    Imported,
}

/// What is to be done that a distribution is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Nothing,
    /// It is imported.
    Import,
    /// Half of it is there: that is removed first.
    ImportAnew,
    /// Somebody else has the name.
    Refuse,
    /// The user has removed it, with what was in it.
    Lost,
}

/// Decides by what the record says and whether WSL has the distribution.
pub fn decide(record: Option<Progress>, is_registered: bool) -> Step {
    match (record, is_registered) {
        (None, true) => Step::Refuse,
        (None | Some(Progress::Importing), false) => Step::Import,
        (Some(Progress::Importing), true) => Step::ImportAnew,
        (Some(Progress::Imported), true) => Step::Nothing,
        (Some(Progress::Imported), false) => Step::Lost,
    }
}

/// A machine's distribution.
#[derive(Clone, Debug)]
pub struct Distro {
    /// Its name.
    pub name: String,
    /// The directory for its disk, whose parent is there.
    pub place: PathBuf,
    /// The record.
    pub record: PathBuf,
}

impl Distro {
    /// The distribution that is noted in this directory, with the program that it was imported by; none where nothing is.
    pub fn noted(directory: &Path) -> Result<Option<(Self, PathBuf)>, WslError> {
        let distro = Self::at(directory, String::new());
        Ok(distro.read()?.map(|record| {
            let name = record.name;
            (Self { name, ..distro }, record.program)
        }))
    }

    /// The distribution of this machine, whose directory of the provider's this is; made where it is missing.
    pub fn of(directory: &Path, machine: &str) -> Result<Self, WslError> {
        if let Some((distro, _)) = Self::noted(directory)? {
            return Ok(distro);
        }
        let distro = Self::at(directory, own_name(directory, machine));
        let made = atomic::create_private_dir_all(directory);
        made.map_err(|error| distro.failed(error))?;
        Ok(distro)
    }

    fn at(directory: &Path, name: String) -> Self {
        Self {
            name,
            place: directory.join("disk"),
            record: directory.join("distribution.json"),
        }
    }

    /// Sees to it that the distribution is there, made from `tar` if it must be. Interrupted at any point, the next call
    /// brings it to an end.
    pub async fn ensure(&self, wsl: &Wsl, tar: &Path) -> Result<(), WslError> {
        match self.step(&wsl.registered().await?)? {
            Step::Nothing => return Ok(()),
            Step::Refuse => return Err(WslError::Foreign(self.name.clone())),
            Step::Lost => return Err(WslError::Lost(self.name.clone())),
            Step::ImportAnew => wsl.unregister(&self.name).await?,
            Step::Import => {}
        }
        self.write(wsl, Progress::Importing)?;
        match wsl.import(&self.name, &self.place, tar).await {
            Ok(()) => self.write(wsl, Progress::Imported),
            // Somebody was faster: what is there is not ours.
            Err(error @ WslError::Foreign(_)) => {
                self.forget()?;
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// What the record and WSL's `names` say of it together.
    pub fn step(&self, names: &[String]) -> Result<Step, WslError> {
        let record = self.read()?.map(|record| record.progress);
        Ok(decide(record, answer::has(names, &self.name)))
    }

    /// Removes the distribution, if it is the machine's.
    pub async fn remove(&self, wsl: &Wsl) -> Result<(), WslError> {
        if self.read()?.is_some() {
            wsl.unregister(&self.name).await?;
            self.forget()?;
        }
        Ok(())
    }

    fn read(&self) -> Result<Option<Record>, WslError> {
        let text = match fs_err::read(&self.record) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed(error)),
        };
        let read = serde_json::from_slice(&text);
        read.map(Some).map_err(|error| self.failed(error.into()))
    }

    fn write(&self, wsl: &Wsl, progress: Progress) -> Result<(), WslError> {
        let record = Record {
            name: self.name.clone(),
            program: wsl.program().to_owned(),
            progress,
        };
        let text = serde_json::to_vec(&record).map_err(|error| self.failed(error.into()))?;
        let written = atomic::write(&self.record, &text, Access::Private);
        written.map_err(|error| self.failed(error))
    }

    fn forget(&self) -> Result<(), WslError> {
        fs_err::remove_file(&self.record).map_err(|error| self.failed(error))
    }

    fn failed(&self, source: io::Error) -> WslError {
        WslError::Record {
            path: self.record.clone(),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_no_podmans_and_tell_homes_apart() {
        assert_eq!(name("dev", None), "machine-dev");
        assert_eq!(name("dev", Some(0x1f)), "machine-dev-0000001f");
        assert!(!name("podman-x", None).starts_with("podman-"));
    }

    #[test]
    fn a_name_tells_its_machine_and_no_other_name_does() {
        let own = own_name(Path::new("/m/a-b/provider"), "a-b");
        assert_eq!(machine_of(&own), Some("a-b"));
        assert_ne!(own, own_name(Path::new("/elsewhere/provider"), "a-b"));
        for other in [
            "Ubuntu",
            "machine-a",
            "podman-a-0123abcd",
            "machine-a-0123abc",
            "machine-a-0123ABCD",
            "machine-0123abcd",
        ] {
            assert_eq!(machine_of(other), None, "{other}");
        }
    }

    #[test]
    fn what_is_done_with_each_state() {
        use Progress::{Imported, Importing};
        assert_eq!(decide(None, false), Step::Import);
        assert_eq!(decide(None, true), Step::Refuse);
        assert_eq!(decide(Some(Importing), false), Step::Import);
        assert_eq!(decide(Some(Importing), true), Step::ImportAnew);
        assert_eq!(decide(Some(Imported), true), Step::Nothing);
        assert_eq!(decide(Some(Imported), false), Step::Lost);
    }
}
