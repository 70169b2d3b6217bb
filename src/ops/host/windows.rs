//! What a file takes on Windows.

use std::fs::Metadata;

/// The bytes of a file. What a sparse one takes is not in its metadata; images are seldom sparse there.
pub(in crate::ops) fn allocated_bytes(metadata: &Metadata) -> u64 {
    metadata.len()
}
