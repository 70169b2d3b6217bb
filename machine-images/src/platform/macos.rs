//! Clones on macOS: APFS clones by path, and gives the clone the modes of the original.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use fs_err::{File, OpenOptions};

/// Makes `target` a clone of `source`, which lies at `path`; `None` when the file system cannot,
/// and then nothing is left of it.
pub(crate) fn clone(_source: &File, path: &Path, target: &Path) -> io::Result<Option<File>> {
    // A link would be cloned as a link.
    let path = fs_err::canonicalize(path)?;
    if reflink_copy::reflink(path, target).is_err() {
        return Ok(None);
    }
    fs_err::set_permissions(target, std::fs::Permissions::from_mode(0o600))?;
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(target)
        .map(Some)
}
