//! Files on Windows.

#![expect(
    clippy::unnecessary_wraps,
    reason = "the same signatures on every system"
)]

use std::fs::Metadata;
use std::io;
use std::path::Path;

use fs_err::{File, OpenOptions};

/// `NUL` is a file of every directory there.
pub(crate) fn is_null_device(path: &Path, _metadata: &Metadata) -> bool {
    let name = path.as_os_str();
    name.eq_ignore_ascii_case("NUL") || name.eq_ignore_ascii_case(r"\\.\NUL")
}

/// What it is, if it is no regular file.
pub(crate) fn not_a_file(metadata: &Metadata) -> Option<&'static str> {
    match () {
        () if metadata.is_file() => None,
        () if metadata.is_dir() => Some("a directory"),
        () => Some("a special file"),
    }
}

/// A file which may be there already; its directory decides who can read it.
pub(crate) fn open_private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

/// Nothing: the attribute would also keep the file from being deleted.
pub(crate) fn make_read_only(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// A new file; its directory decides who can read it.
pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(path)
}

/// Holes are found by their zeroes only.
pub(crate) fn next_data(_file: &File, from: u64, end: u64) -> io::Result<Option<(u64, u64)>> {
    Ok((from < end).then_some((from, end)))
}

/// What the file takes on its file system, at most.
pub(crate) fn occupied_bytes(metadata: &Metadata) -> u64 {
    metadata.len()
}

/// Not asked for yet.
pub(crate) fn free_bytes(_path: &Path) -> Option<u64> {
    None
}

/// NTFS writes names to its own journal.
pub(crate) fn sync_parent(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// Makes `target` a clone of `source` (`ReFS` and Dev Drives can); `None` when the file system
/// cannot, and then nothing is left of it.
pub(crate) fn clone(source: &File, _path: &Path, target: &Path) -> io::Result<Option<File>> {
    let clone = create_private(target)?;
    if reflink_copy::reflink_file(source.file(), clone.file()).is_ok() {
        return Ok(Some(clone));
    }
    drop(clone);
    fs_err::remove_file(target)?;
    Ok(None)
}
