//! Files that are changed only when their content does, and in one step.

use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use fs_err::os::unix::fs::OpenOptionsExt;

/// Readable by everybody, as all configuration of a system is.
const MODE: u32 = 0o644;

/// Makes the file hold `content`; whether that was a change.
pub(super) fn write(path: &Path, content: &[u8]) -> io::Result<bool> {
    match fs_err::read(path) {
        Ok(there) if there == content => return Ok(false),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    if let Some(directory) = path.parent() {
        fs_err::create_dir_all(directory)?;
    }
    let new = beside(path);
    let mut file = fs_err::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(MODE)
        .open(&new)?;
    file.write_all(content)?;
    // A power cut must not leave an empty file under the name.
    file.sync_all()?;
    fs_err::rename(&new, path)?;
    Ok(true)
}

/// Makes the path a link to `target`; whether that was a change.
pub(super) fn link(path: &Path, target: &Path) -> io::Result<bool> {
    match fs_err::read_link(path) {
        Ok(there) if there == target => return Ok(false),
        // It is a file, or nothing.
        Ok(_) | Err(_) => {}
    }
    let new = beside(path);
    remove(&new)?;
    symlink(target, &new)?;
    fs_err::rename(&new, path)?;
    Ok(true)
}

/// Removes the file; whether there was one.
pub(super) fn remove(path: &Path) -> io::Result<bool> {
    match fs_err::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// The content; nothing where there is no file.
pub(super) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs_err::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A name that readers of `*.conf`, `*.crt` and the like pass over.
fn beside(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".new");
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_and_leave_nothing_beside() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a/b/c.conf");
        assert!(!remove(&file).unwrap());
        assert_eq!(read(&file).unwrap(), None);
        assert!(write(&file, b"1").unwrap());
        assert!(!write(&file, b"1").unwrap());
        assert!(write(&file, b"2").unwrap());
        assert_eq!(read(&file).unwrap().unwrap(), b"2");
        assert!(link(&file, Path::new("x")).unwrap());
        assert!(!link(&file, Path::new("x")).unwrap());
        assert!(link(&file, Path::new("y")).unwrap());
        assert_eq!(fs_err::read_link(&file).unwrap(), Path::new("y"));
        let entries = fs_err::read_dir(file.parent().unwrap()).unwrap();
        assert_eq!(entries.count(), 1);
        assert!(remove(&file).unwrap());
    }
}
