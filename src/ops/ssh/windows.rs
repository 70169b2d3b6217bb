//! What the SSH programs of Windows want to be told.

use std::ffi::OsStr;

/// A file with nothing in it.
pub(super) const NULL_DEVICE: &str = "NUL";

/// What stands before the first colon and what behind it. A text that is not Unicode names no machine here.
pub(in crate::ops) fn split_at_colon(text: &OsStr) -> Option<(&OsStr, &OsStr)> {
    let (before, behind) = text.to_str()?.split_once(':')?;
    Some((OsStr::new(before), OsStr::new(behind)))
}
