//! Sockets as files, on Unix.

use std::fs::Metadata;
use std::os::unix::fs::FileTypeExt as _;

pub(in super::super) fn is_socket(metadata: &Metadata) -> bool {
    metadata.file_type().is_socket()
}
