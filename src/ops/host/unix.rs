//! What a file takes on Unix.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;

/// The bytes a file takes on its file system; holes take none.
pub(in crate::ops) fn allocated_bytes(metadata: &Metadata) -> u64 {
    metadata.blocks().saturating_mul(512).min(metadata.len())
}
