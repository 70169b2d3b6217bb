//! Windows: there is no such file.

/// Not known.
pub(super) fn resolver() -> Option<String> {
    None
}
