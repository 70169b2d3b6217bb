//! The records of a zip archive, as PKWARE's APPNOTE 6.3.10 has them (sections 4.3 to 4.5). All numbers are little-endian.

use super::super::fault::{ArchiveFault, EntryName};

/// What stands in the place of a number that the zip64 field has (4.4.8, 4.4.9, 4.4.16).
const ELSEWHERE: u32 = u32::MAX;
/// The field with numbers of 64 bits (4.5.3).
const ZIP64: u16 = 1;
/// Flags of an entry (4.4.4): encrypted; sizes follow the content; strong encryption; the directory is encrypted.
const ENCRYPTED: u16 = 1 | 1 << 6 | 1 << 13;
const SIZES_FOLLOW: u16 = 1 << 3;

/// The file type in the mode that Unix programs write, and the type of a file.
const TYPE: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;

/// How a file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Stored,
    Deflated,
}

/// What the content of a file has to be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) crc: u32,
    pub(super) packed: u64,
    pub(super) unpacked: u64,
}

/// The header before the content of a file (4.3.7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Local {
    pub(super) name: EntryName,
    pub(super) method: Method,
    /// `None`: they follow the content.
    pub(super) sizes: Option<Sizes>,
}

/// Why a record cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Bad {
    /// It contradicts itself or the format.
    Corrupt(&'static str),
    /// It is of something else than one plain file.
    Archive(ArchiveFault),
}

impl From<ArchiveFault> for Bad {
    fn from(fault: ArchiveFault) -> Self {
        Self::Archive(fault)
    }
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes
        .get(at..at + 2)
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u16::from_le_bytes)
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..at + 4)
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u32::from_le_bytes)
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes
        .get(at..at + 8)
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u64::from_le_bytes)
}

/// The name in a local header that is complete.
pub(super) fn local_name(record: &[u8]) -> EntryName {
    EntryName::new(part(record, 30, u16_at(record, 26)))
}

/// The name in an entry of the directory that is complete.
pub(super) fn central_name(record: &[u8]) -> EntryName {
    EntryName::new(part(record, 46, u16_at(record, 28)))
}

/// Reads a local header that is complete, and refuses what is no plain file.
pub(super) fn local(record: &[u8]) -> Result<Local, Bad> {
    let name = local_name(record);
    let extra = part(record, 30 + name.bytes().len(), u16_at(record, 28));
    let (flags, method) = (u16_at(record, 6), u16_at(record, 8));
    if flags & ENCRYPTED != 0 || method == 99 {
        return Err(ArchiveFault::Encrypted(name).into());
    }
    if name.bytes().ends_with(b"/") {
        let what = "a directory";
        return Err(ArchiveFault::NotAFile { name, what }.into());
    }
    if name.is_path() {
        return Err(ArchiveFault::Path(name).into());
    }
    let method = match method {
        0 => Method::Stored,
        8 => Method::Deflated,
        other => {
            let method = method_name(other);
            return Err(ArchiveFault::Method { name, method }.into());
        }
    };
    if flags & SIZES_FOLLOW != 0 {
        if method == Method::Stored {
            return Err(Bad::Corrupt("a file is stored without its length"));
        }
        return Ok(Local {
            name,
            method,
            sizes: None,
        });
    }
    let mut wide = Wide::new(extra)?;
    let sizes = Sizes {
        unpacked: wide.number(u32_at(record, 22))?,
        packed: wide.number(u32_at(record, 18))?,
        crc: u32_at(record, 14),
    };
    if method == Method::Stored && sizes.packed != sizes.unpacked {
        return Err(Bad::Corrupt("a stored file has two lengths"));
    }
    Ok(Local {
        name,
        method,
        sizes: Some(sizes),
    })
}

/// Compares an entry of the directory (4.3.12) with the file that was found.
pub(super) fn compare(record: &[u8], found: &Local, sizes: Sizes) -> Result<(), Bad> {
    let name = central_name(record);
    let extra = part(record, 46 + name.bytes().len(), u16_at(record, 30));
    let method = match found.method {
        Method::Stored => 0,
        Method::Deflated => 8,
    };
    let mut wide = Wide::new(extra)?;
    let declared = Sizes {
        unpacked: wide.number(u32_at(record, 24))?,
        packed: wide.number(u32_at(record, 20))?,
        crc: u32_at(record, 16),
    };
    let offset = wide.number(u32_at(record, 42))?;
    if name != found.name || u16_at(record, 10) != method || declared != sizes || offset != 0 {
        return Err(Bad::Corrupt("its directory describes another file"));
    }
    // 3: the mode in the upper half is one of Unix (4.4.2).
    let kind = u32_at(record, 38) >> 16 & TYPE;
    if u16_at(record, 4) >> 8 == 3 && kind != 0 && kind != REGULAR {
        let what = "a link or a special file";
        return Err(ArchiveFault::NotAFile { name, what }.into());
    }
    Ok(())
}

/// What may follow the content (4.3.9): with a mark or without, with numbers of either width.
pub(super) fn descriptors(sizes: Sizes) -> Vec<Vec<u8>> {
    let crc = sizes.crc.to_le_bytes();
    let mut numbers = vec![[sizes.packed.to_le_bytes(), sizes.unpacked.to_le_bytes()].concat()];
    if let (Ok(packed), Ok(unpacked)) = (u32::try_from(sizes.packed), u32::try_from(sizes.unpacked))
    {
        numbers.push([packed.to_le_bytes(), unpacked.to_le_bytes()].concat());
    }
    let marks = [super::DESCRIPTOR, &[]];
    let all = numbers
        .iter()
        .flat_map(|numbers| marks.map(|mark| [mark, &crc, numbers].concat()));
    all.collect()
}

/// What the last records have to say about the directory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Directory {
    /// Where it begins.
    pub(super) at: u64,
    /// How long it is.
    pub(super) bytes: u64,
}

/// Compares the end of the directory in 64 bits (4.3.14).
pub(super) fn compare_wide_end(record: &[u8], directory: Directory) -> Result<(), Bad> {
    let counts = [u64_at(record, 24), u64_at(record, 32)];
    let found = (u64_at(record, 40), u64_at(record, 48));
    if counts != [1, 1] || found != (directory.bytes, directory.at) {
        return Err(Bad::Corrupt("its end describes another directory"));
    }
    Ok(())
}

/// Compares the end of the directory (4.3.16), whose numbers the record before may have where `wide`.
pub(super) fn compare_end(record: &[u8], directory: Directory, wide: bool) -> Result<(), Bad> {
    let short = |at, value| u16_at(record, at) == value || wide && u16_at(record, at) == u16::MAX;
    let long = |at, value: u64| {
        let found = u32_at(record, at);
        u64::from(found) == value || wide && found == ELSEWHERE
    };
    let disks = short(4, 0) && short(6, 0);
    let counts = short(8, 1) && short(10, 1);
    if disks && counts && long(12, directory.bytes) && long(16, directory.at) {
        return Ok(());
    }
    Err(Bad::Corrupt("its end describes another directory"))
}

/// The part of a record, as far as it is there.
fn part(record: &[u8], at: usize, length: u16) -> &[u8] {
    let rest = record.get(at..).unwrap_or_default();
    &rest[..rest.len().min(usize::from(length))]
}

fn method_name(method: u16) -> String {
    let name = match method {
        9 => "Deflate64",
        12 => "bzip2",
        14 => "LZMA",
        93 => "zstd",
        95 => "xz",
        other => return format!("method {other}"),
    };
    name.to_owned()
}

/// The numbers of the zip64 field, in the order in which the record lacks them.
struct Wide<'a>(&'a [u8]);

impl<'a> Wide<'a> {
    fn new(extra: &'a [u8]) -> Result<Self, Bad> {
        let mut rest = extra;
        while rest.len() >= 4 {
            let field = part(rest, 4, u16_at(rest, 2));
            if field.len() < usize::from(u16_at(rest, 2)) {
                return Err(Bad::Corrupt("an extra field is cut off"));
            }
            if u16_at(rest, 0) == ZIP64 {
                return Ok(Self(field));
            }
            rest = &rest[4 + field.len()..];
        }
        Ok(Self(&[]))
    }

    fn number(&mut self, short: u32) -> Result<u64, Bad> {
        if short != ELSEWHERE {
            return Ok(u64::from(short));
        }
        let Some((number, rest)) = self.0.split_first_chunk() else {
            return Err(Bad::Corrupt("a size is missing"));
        };
        self.0 = rest;
        Ok(u64::from_le_bytes(*number))
    }
}
