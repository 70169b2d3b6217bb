//! Files that are either the old or the new ones, whatever happens while they are written.

use std::io::{self, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use crate::sys;

/// The end of a temporary file's name. One that is found later was left by a killed writer and
/// may be removed by whoever holds the lock of its directory.
pub const TEMPORARY_SUFFIX: &str = ".tmp";

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
    let mut prefix = std::ffi::OsString::from(".");
    prefix.push(name);
    prefix.push(".");
    let mut file = tempfile::Builder::new()
        .prefix(&prefix)
        .suffix(TEMPORARY_SUFFIX)
        .tempfile_in(directory)?;
    let failed = |source: io::Error| about(path, "could not be written", &source);
    sys::set_mode(file.as_file(), access.mode()).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    persist(file, path).map_err(failed)?;
    sys::sync_directory(directory).map_err(failed)
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
