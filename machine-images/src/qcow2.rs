//! The header of a qcow2 image: what it claims, checked before anything acts on it.
//!
//! A qcow2 file can name any other file of the host, as backing file or as data file, and whoever
//! opens the image reads that file. Images come from elsewhere, so those are refused here, by our
//! own reading of the header, and the library that grows an image is told to open nothing else.

use std::ops::{Range, RangeInclusive};

use crate::{MAX_DISK_BYTES, SECTOR};

pub(crate) const MAGIC: &[u8; 4] = b"QFI\xfb";
/// Enough for any header and its extensions; the format has them in the first cluster.
pub(crate) const HEADER_BYTES: usize = 64 << 10;

const V2_LENGTH: usize = 72;
const V3_LENGTH: usize = 104;
const CLUSTER_BITS: RangeInclusive<u32> = 9..=21;
/// QEMU's own limit of the first-level table, 32 MiB of 8-byte entries.
const MAX_L1_ENTRIES: u32 = (32 << 20) / 8;

const INCOMPATIBLE_DIRTY: u64 = 1;
const INCOMPATIBLE_CORRUPT: u64 = 1 << 1;
const INCOMPATIBLE_DATA_FILE: u64 = 1 << 2;
const INCOMPATIBLE_COMPRESSION: u64 = 1 << 3;
/// Extended second-level entries (bit 4) are known, but the library that grows images has no
/// support for them.
const INCOMPATIBLE_SUPPORTED: u64 = INCOMPATIBLE_COMPRESSION;
const EXTENSION_END: u32 = 0;
const EXTENSION_DATA_FILE: u32 = 0x4441_5441;

/// What is wrong with a header.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HeaderFault {
    BackingFile,
    DataFile,
    TooLarge(u64),
    Bad(String),
}

fn bad<T>(reason: impl Into<String>) -> Result<T, HeaderFault> {
    Err(HeaderFault::Bad(reason.into()))
}

/// Checks the header in `prefix`, the first bytes of a file of `file_bytes`, and returns the size
/// of the disk. Every offset that is followed later lies inside of the file.
pub(crate) fn virtual_bytes(prefix: &[u8], file_bytes: u64) -> Result<u64, HeaderFault> {
    check(prefix, file_bytes, None)
}

/// As [`virtual_bytes`], of an image that lies over the file `base` and over no other.
pub(crate) fn layered_bytes(
    prefix: &[u8],
    file_bytes: u64,
    base: &str,
) -> Result<u64, HeaderFault> {
    check(prefix, file_bytes, Some(base))
}

fn check(prefix: &[u8], file_bytes: u64, base: Option<&str>) -> Result<u64, HeaderFault> {
    if !prefix.starts_with(MAGIC) {
        return bad("the magic number is missing");
    }
    if prefix.len() < V2_LENGTH {
        return bad("the file ends inside of it");
    }
    let version = u32_at(prefix, 4);
    if !matches!(version, 2 | 3) {
        return bad(format!("version {version} is unknown"));
    }
    match (backing_file(prefix), base) {
        (Backing::None, None) => {}
        (Backing::Named(name), Some(base)) if name == base.as_bytes() => {}
        (Backing::None, Some(base)) => return bad(format!("it does not name its base `{base}`")),
        _ => return Err(HeaderFault::BackingFile),
    }
    let header_length = if version == 2 {
        V2_LENGTH
    } else {
        version_3(prefix)?
    };
    let cluster_bits = u32_at(prefix, 20);
    if !CLUSTER_BITS.contains(&cluster_bits) {
        return bad(format!(
            "clusters of 2^{cluster_bits} bytes are not possible"
        ));
    }
    if u32_at(prefix, 32) != 0 {
        return bad("the image is encrypted");
    }
    if u32_at(prefix, 60) != 0 {
        return bad("the image has internal snapshots, which cannot be grown");
    }
    let size = u64_at(prefix, 24);
    if size > MAX_DISK_BYTES {
        return Err(HeaderFault::TooLarge(size));
    }
    tables(prefix, cluster_bits, size, file_bytes)?;
    extensions(prefix, header_length, cluster_bits)?;
    Ok(size)
}

/// The name of the file below, as far as the header has one.
enum Backing<'a> {
    None,
    Named(&'a [u8]),
    Nonsense,
}

fn backing_file(prefix: &[u8]) -> Backing<'_> {
    let (offset, length) = (u64_at(prefix, 8), u32_at(prefix, 16) as usize);
    if offset == 0 && length == 0 {
        return Backing::None;
    }
    let name = usize::try_from(offset)
        .ok()
        .and_then(|start| prefix.get(start..start.checked_add(length)?));
    name.map_or(Backing::Nonsense, Backing::Named)
}

/// The fields that version 3 added; returns the header's length.
fn version_3(prefix: &[u8]) -> Result<usize, HeaderFault> {
    if prefix.len() < V3_LENGTH {
        return bad("the file ends inside of it");
    }
    let incompatible = u64_at(prefix, 72);
    if incompatible & INCOMPATIBLE_DATA_FILE != 0 {
        return Err(HeaderFault::DataFile);
    }
    if incompatible & INCOMPATIBLE_CORRUPT != 0 {
        return bad("the image is marked as corrupt");
    }
    if incompatible & INCOMPATIBLE_DIRTY != 0 {
        return bad("the image was not closed properly");
    }
    let unknown = incompatible & !INCOMPATIBLE_SUPPORTED;
    if unknown != 0 {
        return bad(format!("the features {unknown:#x} are not supported"));
    }
    if u32_at(prefix, 96) > 6 {
        return bad("the width of reference counts is not possible");
    }
    let length = u32_at(prefix, 100) as usize;
    if length < V3_LENGTH || !length.is_multiple_of(8) || length > prefix.len() {
        return bad(format!("a length of {length} bytes is not possible"));
    }
    if incompatible & INCOMPATIBLE_COMPRESSION != 0 && length <= V3_LENGTH {
        return bad("the compression type is missing");
    }
    Ok(length)
}

/// The first-level table and the table of reference counts.
fn tables(prefix: &[u8], cluster_bits: u32, size: u64, file_bytes: u64) -> Result<(), HeaderFault> {
    let cluster = 1_u64 << cluster_bits;
    let inside = |offset: u64, bytes: u64| {
        offset.is_multiple_of(cluster)
            && offset >= cluster
            && offset
                .checked_add(bytes)
                .is_some_and(|end| end <= file_bytes)
    };
    let l1_entries = u32_at(prefix, 36);
    // One entry stands for a table of one cluster, of 8 bytes for each cluster of the disk.
    let covered = u128::from(l1_entries) << (cluster_bits + cluster_bits - 3);
    if l1_entries > MAX_L1_ENTRIES || covered < u128::from(size) {
        return bad(format!(
            "{l1_entries} entries of the first table do not fit a disk of {size} bytes"
        ));
    }
    if l1_entries > 0 && !inside(u64_at(prefix, 40), u64::from(l1_entries) * 8) {
        return bad("the first table lies outside of the file, which may have been cut off");
    }
    let clusters = u64::from(u32_at(prefix, 56));
    if clusters == 0 || !inside(u64_at(prefix, 48), clusters << cluster_bits) {
        return bad("the reference counts lie outside of the file, which may have been cut off");
    }
    Ok(())
}

/// Walks the extensions: the name of a data file is one of them.
fn extensions(prefix: &[u8], start: usize, cluster_bits: u32) -> Result<(), HeaderFault> {
    let end = prefix.len().min(1 << cluster_bits);
    let mut at = start;
    while at + 8 <= end {
        let (kind, length) = (u32_at(prefix, at), u32_at(prefix, at + 4) as usize);
        match kind {
            EXTENSION_END => return Ok(()),
            EXTENSION_DATA_FILE => return Err(HeaderFault::DataFile),
            _ if length > end - at - 8 => return bad("an extension is longer than its cluster"),
            _ => at += 8 + length.next_multiple_of(8),
        }
    }
    Ok(())
}

/// Whether the data is compressed by other than zlib, or may be.
pub(crate) fn has_compression_type(header: &[u8]) -> bool {
    header.len() >= V3_LENGTH
        && u32_at(header, 4) >= 3
        && u64_at(header, 72) & INCOMPATIBLE_COMPRESSION != 0
}

/// How a disk grows without new clusters.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Growth {
    /// The size that the disk then has.
    pub(crate) virtual_bytes: u64,
    /// Where the first table gets new entries, which must be zero.
    pub(crate) new_entries: Range<u64>,
    /// Where in the file the changed part of the header is written, and what.
    pub(crate) header_at: u64,
    pub(crate) header: Vec<u8>,
}

/// Grows the disk of a checked header to at least `bytes`, which are whole sectors. `None`: the first
/// table needs more clusters for that than it has.
pub(crate) fn growth(header: &[u8], bytes: u64) -> Option<Growth> {
    let cluster_bits = u32_at(header, 20);
    let (old_entries, table) = (u64::from(u32_at(header, 36)), u64_at(header, 40));
    let virtual_bytes = u64_at(header, 24).next_multiple_of(SECTOR).max(bytes);
    let entries = virtual_bytes
        .div_ceil(1 << (cluster_bits + cluster_bits - 3))
        .max(old_entries);
    let room = (old_entries * 8).next_multiple_of(1 << cluster_bits) / 8;
    if entries > room {
        return None;
    }
    // The size, a field that stays, and the number of entries.
    let mut changed = header[24..40].to_vec();
    changed[..8].copy_from_slice(&virtual_bytes.to_be_bytes());
    changed[12..].copy_from_slice(&u32::try_from(entries).ok()?.to_be_bytes());
    Some(Growth {
        virtual_bytes,
        new_entries: table + old_entries * 8..table + entries * 8,
        header_at: 24,
        header: changed,
    })
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..]
        .first_chunk()
        .map_or(0, |field| u32::from_be_bytes(*field))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..]
        .first_chunk()
        .map_or(0, |field| u64::from_be_bytes(*field))
}

#[cfg(test)]
#[path = "qcow2_tests.rs"]
mod tests;
