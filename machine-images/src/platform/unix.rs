//! Files on Linux and macOS.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

use fs_err::os::unix::fs::OpenOptionsExt;
use fs_err::{File, OpenOptions};
use rustix::fs::{SeekFrom, seek, statvfs};
use rustix::io::Errno;

/// Any character device stands for "no image", as `/dev/null` is one by convention only.
pub(crate) fn is_null_device(_path: &Path, metadata: &Metadata) -> bool {
    metadata.file_type().is_char_device()
}

/// What it is, if it is no regular file.
pub(crate) fn not_a_file(metadata: &Metadata) -> Option<&'static str> {
    let kind = metadata.file_type();
    match () {
        () if kind.is_file() => None,
        () if kind.is_dir() => Some("a directory"),
        () if kind.is_block_device() => Some("a block device"),
        () if kind.is_fifo() => Some("a named pipe"),
        () if kind.is_socket() => Some("a socket"),
        () => Some("a special file"),
    }
}

/// A new file that only its owner can read.
pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// A file that only its owner can read, which may be there already.
pub(crate) fn open_private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

/// Keeps the file from being changed by accident.
pub(crate) fn make_read_only(path: &Path) -> io::Result<()> {
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o400))
}

/// The next stretch of data at or after `from`: its start and end. `None`: only a hole is left.
/// A file system without holes reports one stretch up to the end.
pub(crate) fn next_data(file: &File, from: u64, end: u64) -> io::Result<Option<(u64, u64)>> {
    let start = match seek(file, SeekFrom::Data(from)) {
        Ok(start) => start,
        Err(Errno::NXIO) => return Ok(None),
        Err(Errno::INVAL | Errno::NOTSUP) => return Ok((from < end).then_some((from, end))),
        Err(error) => return Err(error.into()),
    };
    let stop = seek(file, SeekFrom::Hole(start))?;
    Ok((start < end).then_some((start, stop.min(end))))
}

/// What the file takes on its file system.
pub(crate) fn occupied_bytes(metadata: &Metadata) -> u64 {
    (metadata.blocks() * 512).min(metadata.len())
}

/// What this user can still write to the file system of `path`.
pub(crate) fn free_bytes(path: &Path) -> Option<u64> {
    let facts = statvfs(path).ok()?;
    facts.f_bavail.checked_mul(facts.f_frsize)
}

/// Makes a new name in the directory of `path` survive a power cut.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if parent != Path::new("") => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}
