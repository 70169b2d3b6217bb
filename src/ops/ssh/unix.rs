//! What the SSH programs of Unix want to be told.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

/// A file with nothing in it.
pub(super) const NULL_DEVICE: &str = "/dev/null";

/// What stands before the first colon and what behind it.
pub(in crate::ops) fn split_at_colon(text: &OsStr) -> Option<(&OsStr, &OsStr)> {
    let bytes = text.as_bytes();
    let at = bytes.iter().position(|byte| *byte == b':')?;
    Some((
        OsStr::from_bytes(&bytes[..at]),
        OsStr::from_bytes(&bytes[at + 1..]),
    ))
}
