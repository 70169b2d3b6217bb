//! A tar archive of one file: POSIX's ustar and pax formats (POSIX.1-2017, pax, "ustar Interchange Format") and GNU's.
//!
//! The crate `tar` reads headers and records; its reader of archives hands out files for as long as it is borrowed, which
//! fits nothing that is asked for one buffer after the other.

use std::io::Read;

use ::tar::{EntryType, Header, PaxExtensions};

use super::fault::{ArchiveFault, EntryName};
use super::outer::Outer;
use super::{Fault, UnpackError};

/// Archives consist of blocks.
const BLOCK: usize = 512;
/// The most that stands before and after a file: its name and facts, `./`, comments.
const RECORDS: u32 = 16;
/// The largest of them.
const RECORD_BYTES: u64 = 64 << 10;
/// The most zeroes after the end. Usual are blocks of 10 KiB; tapes had up to some megabytes.
const PADDING_BYTES: u64 = 16 << 20;
/// The first names of a root file system's tree.
const ROOT_NAMES: [&str; 19] = [
    "bin", "boot", "dev", "etc", "home", "lib", "lib64", "media", "mnt", "opt", "ostree", "proc",
    "root", "run", "sbin", "srv", "sys", "usr", "var",
];

/// Whether a file with these first bytes is a tar archive. The first ones, before POSIX, have no mark.
pub(super) fn begins(head: &[u8]) -> bool {
    head.len() >= BLOCK && head[257..].starts_with(b"ustar")
}

/// Gives the one file of an archive.
#[derive(Default)]
pub(super) struct Tar {
    file: Option<EntryName>,
    declared: Option<u64>,
    state: State,
}

#[derive(Default)]
enum State {
    #[default]
    Before,
    File {
        left: u64,
    },
    End,
}

/// One entry, with what the records before it say about it.
struct Entry {
    name: EntryName,
    kind: EntryType,
    bytes: u64,
    is_sparse: bool,
}

impl Tar {
    /// The length that the archive gives its file.
    pub(super) fn declared(&self) -> Option<u64> {
        self.declared
    }

    /// Fills `output` as far as the file has content; less than all of it means that the archive has ended.
    pub(super) fn fill<R: Read>(
        &mut self,
        outer: &mut Outer<R>,
        output: &mut [u8],
    ) -> Result<usize, UnpackError> {
        if matches!(self.state, State::Before) {
            let left = self.begin(outer)?;
            self.state = State::File { left };
        }
        let State::File { left } = &mut self.state else {
            return Ok(0);
        };
        let wanted = usize::try_from(*left).map_or(output.len(), |left| left.min(output.len()));
        exactly(outer, &mut output[..wanted])?;
        *left -= wanted as u64;
        if *left == 0 && wanted < output.len() {
            self.state = State::End;
            self.end(outer)?;
        }
        Ok(wanted)
    }

    /// Goes to the content of the first file, and returns its length.
    fn begin<R: Read>(&mut self, outer: &mut Outer<R>) -> Result<u64, UnpackError> {
        for _ in 0..RECORDS {
            let entry = entry(outer)?.ok_or(Fault::Archive(ArchiveFault::Empty("tar")))?;
            if entry.kind.is_dir() && matches!(entry.name.bytes(), b"./" | b".") {
                continue;
            }
            entry.refuse_others()?;
            self.declared = Some(entry.bytes);
            self.file = Some(entry.name);
            return Ok(entry.bytes);
        }
        Err(corrupt(
            outer,
            "too many entries stand before its first file",
        ))
    }

    /// What follows the file: its padding, and nothing.
    fn end<R: Read>(&mut self, outer: &mut Outer<R>) -> Result<(), UnpackError> {
        let rest = self.declared.unwrap_or_default() % BLOCK as u64;
        if rest > 0 {
            let mut padding = [0; BLOCK];
            let bytes = BLOCK - usize::try_from(rest).unwrap_or_default();
            exactly(outer, &mut padding[..bytes])?;
        }
        if let (Some(second), Some(first)) = (entry(outer)?, self.file.take()) {
            return Err(Fault::Archive(ArchiveFault::Second {
                first,
                second: second.name,
            })
            .into());
        }
        padding(outer)
    }
}

impl Entry {
    /// Refuses what is not a file in its entirety, and what lies elsewhere.
    fn refuse_others(&self) -> Result<(), Fault> {
        let what = match self.kind {
            _ if self.is_sparse => Some("a sparse file of GNU tar"),
            EntryType::Regular | EntryType::Continuous if self.name.bytes().ends_with(b"/") => {
                Some("a directory")
            }
            EntryType::Regular | EntryType::Continuous => None,
            EntryType::Link => Some("a hard link"),
            EntryType::Symlink => Some("a symbolic link"),
            EntryType::Char | EntryType::Block => Some("a device"),
            EntryType::Directory => Some("a directory"),
            EntryType::Fifo => Some("a named pipe"),
            EntryType::GNUSparse => Some("a sparse file of GNU tar"),
            _ => Some("of a kind that is unknown"),
        };
        let name = self.name.clone();
        if (what.is_some() || name.is_path()) && is_of_root(&name) {
            return Err(ArchiveFault::RootFileSystem(name).into());
        }
        match what {
            Some(what) => Err(ArchiveFault::NotAFile { name, what }.into()),
            None if name.is_path() => Err(ArchiveFault::Path(name).into()),
            None => Ok(()),
        }
    }
}

fn is_of_root(name: &EntryName) -> bool {
    let name = name.bytes();
    let name = name.strip_prefix(b".").unwrap_or(name);
    let name = name.strip_prefix(b"/").unwrap_or(name);
    let first = name.split(|byte| *byte == b'/').next().unwrap_or_default();
    ROOT_NAMES.iter().any(|root| root.as_bytes() == first)
}

/// The next entry; `None` at the end of the archive, which is two blocks of zeroes.
fn entry<R: Read>(outer: &mut Outer<R>) -> Result<Option<Entry>, UnpackError> {
    let (mut long_name, mut long_bytes, mut is_sparse) = (None, None, false);
    for _ in 0..RECORDS {
        let mut block = [0; BLOCK];
        exactly(outer, &mut block)?;
        if block == [0; BLOCK] {
            exactly(outer, &mut block)?;
            if block != [0; BLOCK] {
                return Err(corrupt(
                    outer,
                    "its end has one block of zeroes and not two",
                ));
            }
            return Ok(None);
        }
        let header = Header::from_byte_slice(&block);
        if header.cksum().ok() != Some(checksum(&block)) {
            return Err(corrupt(outer, "a header has another checksum"));
        }
        let bytes = header
            .entry_size()
            .map_err(|_| corrupt(outer, "a header has no valid size"))?;
        match header.entry_type() {
            EntryType::XHeader | EntryType::XGlobalHeader => {
                let record = record(outer, bytes)?;
                for extension in PaxExtensions::new(&record) {
                    let extension =
                        extension.map_err(|_| corrupt(outer, "a record has no valid length"))?;
                    match extension.key_bytes() {
                        b"path" if !is_sparse => {
                            long_name = Some(EntryName::new(extension.value_bytes()));
                        }
                        // Its `path` is of a file that nobody has.
                        b"GNU.sparse.name" => {
                            is_sparse = true;
                            long_name = Some(EntryName::new(extension.value_bytes()));
                        }
                        b"size" => {
                            let number = std::str::from_utf8(extension.value_bytes()).ok();
                            let number = number.and_then(|text| text.parse::<u64>().ok());
                            long_bytes = Some(
                                number
                                    .ok_or_else(|| corrupt(outer, "a record has no valid size"))?,
                            );
                        }
                        key => is_sparse |= key.starts_with(b"GNU.sparse."),
                    }
                }
            }
            EntryType::GNULongName => {
                let record = record(outer, bytes)?;
                let end = record.iter().position(|byte| *byte == 0);
                long_name = Some(EntryName::new(&record[..end.unwrap_or(record.len())]));
            }
            EntryType::GNULongLink => {
                record(outer, bytes)?;
            }
            kind => {
                return Ok(Some(Entry {
                    name: long_name.unwrap_or_else(|| EntryName::new(&header.path_bytes())),
                    kind,
                    bytes: long_bytes.unwrap_or(bytes),
                    is_sparse,
                }));
            }
        }
    }
    Err(corrupt(outer, "too many records stand before a file"))
}

/// The sum of a header's bytes, its own field taken as spaces.
fn checksum(block: &[u8; BLOCK]) -> u32 {
    let field = 148..156;
    let byte = |(at, byte): (usize, &u8)| {
        if field.contains(&at) {
            u32::from(b' ')
        } else {
            u32::from(*byte)
        }
    };
    block.iter().enumerate().map(byte).sum()
}

/// What a record says about the file after it.
fn record<R: Read>(outer: &mut Outer<R>, bytes: u64) -> Result<Vec<u8>, UnpackError> {
    let length = usize::try_from(bytes).unwrap_or(usize::MAX);
    if bytes > RECORD_BYTES {
        return Err(corrupt(outer, "a record is longer than 64 KiB"));
    }
    let mut record = vec![0; length.next_multiple_of(BLOCK)];
    exactly(outer, &mut record)?;
    record.truncate(length);
    Ok(record)
}

/// Zeroes up to the end of the file.
fn padding<R: Read>(outer: &mut Outer<R>) -> Result<(), UnpackError> {
    let mut buffer = vec![0; 64 << 10];
    let mut all = 0;
    loop {
        let at = outer.consumed();
        let filled = outer.fill(&mut buffer)?;
        all += filled as u64;
        if buffer[..filled].iter().any(|byte| *byte != 0) || all > PADDING_BYTES {
            return Err(Fault::Trailing { at }.into());
        }
        if filled < buffer.len() {
            return Ok(());
        }
    }
}

fn exactly<R: Read>(outer: &mut Outer<R>, output: &mut [u8]) -> Result<(), UnpackError> {
    let filled = outer.fill(output)?;
    if filled < output.len() {
        return Err(Fault::Truncated {
            at: outer.consumed(),
        }
        .into());
    }
    Ok(())
}

fn corrupt<R: Read>(outer: &Outer<R>, reason: &str) -> UnpackError {
    Fault::Corrupt {
        at: outer.consumed(),
        reason: format!("in the tar archive, {reason}"),
    }
    .into()
}

#[cfg(test)]
#[path = "tar_tests.rs"]
pub(super) mod tests;
