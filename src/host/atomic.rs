//! Files that are either the old or the new ones, whatever happens while they are written.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use crate::sys;

/// The end of a temporary file's name. One that is found later was left by a killed writer and
/// may be removed by whoever holds the lock of its directory.
pub const TEMPORARY_SUFFIX: &str = ".tmp";
/// So many letters and digits are made up for a temporary file's name.
const RANDOM_BYTES: usize = 6;

/// Who may read a file. Windows has no such mode: there the user's profile is private by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Only its owner: mode 0600 whatever the umask.
    Private,
    /// Everyone: mode 0644 whatever the umask.
    Shared,
}

impl Access {
    fn mode(self) -> u32 {
        match self {
            Self::Private => 0o600,
            Self::Shared => 0o644,
        }
    }
}

/// Replaces the file at `path`, or makes it, so that a reader, a crash or a power cut finds either
/// all the old bytes or all the new ones.
///
/// The bytes go to a temporary file in the same directory, reach the disk, take the old file's
/// name, and then the directory reaches the disk. A link at `path` is replaced, not followed.
pub fn write(path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    write_by(path, bytes, access, sys::persist)
}

/// Makes the file at `path` as [`write`] does, where there is none: whatever is there stays, and the error is
/// [`AlreadyExists`](io::ErrorKind::AlreadyExists).
pub fn write_new(path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    write_by(path, bytes, access, |file, path| {
        let named = file.persist_noclobber(path);
        named.map(drop).map_err(|error| error.error)
    })
}

fn write_by(
    path: &Path,
    bytes: &[u8],
    access: Access,
    persist: impl FnOnce(NamedTempFile, &Path) -> io::Result<()>,
) -> io::Result<()> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(about(
            path,
            "names no file in a directory",
            &io::Error::from(io::ErrorKind::InvalidInput),
        ));
    };
    let directory = if directory.as_os_str().is_empty() {
        Path::new(".")
    } else {
        directory
    };
    let mut file = temporary_in(directory, name)?;
    let failed = |source: io::Error| about(path, "could not be written", &source);
    sys::set_mode(file.as_file(), access.mode()).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    persist(file, path).map_err(failed)?;
    sys::sync_directory(directory).map_err(failed)
}

/// A fresh, empty file with a name of the kind that [`clear_temporaries`] of `path` knows. It goes with this value.
pub fn temporary(path: &Path) -> io::Result<NamedTempFile> {
    match (path.parent(), path.file_name()) {
        (Some(directory), Some(name)) => temporary_in(directory, name),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

fn temporary_in(directory: &Path, name: &OsStr) -> io::Result<NamedTempFile> {
    let mut prefix = std::ffi::OsString::from(".");
    prefix.push(name);
    prefix.push(".");
    tempfile::Builder::new()
        .prefix(&prefix)
        .rand_bytes(RANDOM_BYTES)
        .suffix(TEMPORARY_SUFFIX)
        .tempfile_in(directory)
}

/// Removes what writers of the file at `path` left beside it when they were killed, or when the disk did not even let them
/// remove it. The caller holds the lock of its writers, for what one that lives has not yet renamed would go too. What
/// cannot be removed is in nobody's way.
pub fn clear_temporaries(path: &Path) {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return;
    };
    for entry in fs_err::read_dir(directory).into_iter().flatten().flatten() {
        if is_temporary(&entry.file_name(), name) {
            drop(fs_err::remove_file(entry.path()));
        }
    }
}

/// Whether a file was written by [`write`] to become that of this name.
fn is_temporary(entry: &OsStr, name: &OsStr) -> bool {
    let middle = entry.as_encoded_bytes().strip_prefix(b".");
    let middle = middle.and_then(|rest| rest.strip_prefix(name.as_encoded_bytes()));
    let middle = middle.and_then(|rest| rest.strip_prefix(b"."));
    let middle = middle.and_then(|rest| rest.strip_suffix(TEMPORARY_SUFFIX.as_bytes()));
    middle.is_some_and(|middle| {
        middle.len() == RANDOM_BYTES && middle.iter().all(u8::is_ascii_alphanumeric)
    })
}

/// Makes `path` and its missing parents, and makes sure that only the owner can enter `path` (mode
/// 0700). For directories of our own: one that exists is made private too.
pub fn create_private_dir_all(path: &Path) -> io::Result<()> {
    sys::create_private_directories(path)
        .map_err(|source| about(path, "could not be made a private directory", &source))
}

fn about(path: &Path, what: &str, source: &io::Error) -> io::Error {
    io::Error::new(
        source.kind(),
        format!("`{}` {what}: {source}", path.display()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn replaces_and_leaves_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.toml");
        write(&path, b"one", Access::Private).unwrap();
        write(&path, b"two", Access::Private).unwrap();
        assert_eq!(fs_err::read(&path).unwrap(), b"two");
        assert_eq!(fs_err::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_killed_writers_left_goes_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let stays = [
            "state",
            ".state.Ab3.tmp",
            ".state.Ab3dE_.tmp",
            ".state.Ab3dEf.tmp2",
            ".other.Ab3dEf.tmp",
            "state.Ab3dEf.tmp",
            ".stateXAb3dEf.tmp",
        ];
        for name in stays
            .iter()
            .chain(&[".state.Ab3dEf.tmp", ".state.000000.tmp"])
        {
            fs_err::write(at(name), b"").unwrap();
        }
        clear_temporaries(&at("state"));
        let mut left: Vec<_> = fs_err::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        let mut stays = stays.map(str::to_owned);
        stays.sort();
        assert_eq!(left, stays);
        clear_temporaries(&at("no/directory"));
    }

    #[test]
    fn the_name_of_a_temporary_file_is_known() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state");
        let (_, left) = temporary(&path).unwrap().keep().unwrap();
        clear_temporaries(&path);
        assert!(!left.exists());
        assert!(temporary(Path::new("/")).is_err());
    }

    #[test]
    fn a_new_file_is_in_nobodys_place() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report");
        write_new(&path, b"one", Access::Private).unwrap();
        let error = write_new(&path, b"two", Access::Private).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs_err::read(&path).unwrap(), b"one");
        assert_eq!(fs_err::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn failure_names_the_file_and_keeps_the_old_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("missing").join("state.toml");
        let error = write(&path, b"x", Access::Private).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains("missing"), "{error}");

        // A directory in the way cannot be replaced, and stays.
        let path = directory.path().join("taken");
        fs_err::create_dir(&path).unwrap();
        fs_err::write(path.join("inside"), b"").unwrap();
        assert!(write(&path, b"x", Access::Private).is_err());
        assert!(path.join("inside").exists());
        assert_eq!(
            fs_err::read_dir(directory.path()).unwrap().count(),
            1,
            "temporary file left"
        );
    }

    #[test]
    fn killed_writer_leaves_the_old_or_the_new_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state");
        let mut seen = std::collections::BTreeSet::new();
        for round in 0..50 {
            let mut child = testing::Child::start("write-for-ever", &[path.as_os_str()]);
            // Killed after a differing number of writes, in the midst of the next.
            for _ in 0..=(round % 7) {
                child.wait_for("wrote");
            }
            child.kill();
            let found = fs_err::read(&path).unwrap();
            assert_eq!(found.len(), testing::WRITTEN_BYTES, "round {round}");
            assert!(
                found.iter().all(|byte| *byte == found[0]),
                "round {round}: mixed"
            );
            seen.insert(found[0]);
        }
        assert_eq!(seen.len(), 2, "the writer never came past its first write");
        for entry in fs_err::read_dir(directory.path()).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(name == "state" || (name.starts_with('.') && name.ends_with(TEMPORARY_SUFFIX)));
        }
    }
}
