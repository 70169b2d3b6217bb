//! The members of a tar file as they come, each with the records in front of it, and members of our own.
//!
//! Formats: POSIX.1-2017 pax ("ustar Interchange Format", "pax Header Block") and GNU's long names and sparse files. What
//! is kept is copied byte by byte, so that whatever a format adds (times, capabilities of programs) stays. The crate
//! `tar` reads headers; its reader of archives takes names for paths of the host, which on Windows not all of them are.

use std::io::{self, Read, Write};

use tar::{EntryType, Header};

use super::error::LayError;

/// Bytes of a block.
pub(super) const BLOCK: usize = 512;
/// More than any name has, or any record in front of a member.
const RECORD_LIMIT: u64 = 1 << 20;
/// More records than any member has in front of it.
const MOST_RECORDS: usize = 16;

/// What a member is, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MemberKind {
    File,
    HardLink,
    SymbolicLink,
    Directory,
    Other,
}

/// The head of a member; its data is still in the stream.
#[derive(Debug)]
pub(super) struct Member {
    /// Its path, without `.` and without slashes at the ends; empty for the root itself.
    pub(super) path: String,
    pub(super) kind: MemberKind,
    /// Where a link leads, as it is written.
    pub(super) target: String,
    /// The bytes of data behind the head.
    pub(super) bytes: u64,
    /// The header itself.
    pub(super) header: Header,
    /// All blocks up to the data.
    pub(super) head: Vec<u8>,
}

/// What records say of the member behind them.
#[derive(Default)]
struct Told {
    path: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    bytes: Option<Vec<u8>>,
}

/// The next member; `None` at the end of the archive.
pub(super) fn next(from: &mut impl Read) -> Result<Option<Member>, LayError> {
    let (mut head, mut told) = (Vec::new(), Told::default());
    for _ in 0..MOST_RECORDS {
        let block = block(from)?;
        if block == [0; BLOCK] {
            return if head.is_empty() {
                Ok(None)
            } else {
                Err(LayError::Damaged("a record belongs to no member"))
            };
        }
        head.extend(block);
        let header = Header::from_byte_slice(&block);
        check_sum(header, &block)?;
        let bytes = header
            .entry_size()
            .map_err(|_| LayError::Damaged("a size is no number"))?;
        match header.entry_type() {
            // What holds for all members behind it names none of them.
            EntryType::XGlobalHeader => {
                head.extend(data(from, bytes)?);
            }
            EntryType::XHeader => {
                let record = data(from, bytes)?;
                told.read_pax(&record[..usize::try_from(bytes).unwrap_or_default()])?;
                head.extend(record);
            }
            kind @ (EntryType::GNULongName | EntryType::GNULongLink) => {
                let record = data(from, bytes)?;
                let text = record.split(|byte| *byte == 0).next().unwrap_or_default();
                let place = if kind == EntryType::GNULongName {
                    &mut told.path
                } else {
                    &mut told.target
                };
                *place = Some(text.to_vec());
                head.extend(record);
            }
            kind => {
                let header = header.clone();
                if kind == EntryType::GNUSparse {
                    sparse_maps(from, &header, &mut head)?;
                }
                return member(header, kind, bytes, told, head).map(Some);
            }
        }
    }
    Err(LayError::Damaged(
        "too many records stand before one member",
    ))
}

fn member(
    header: Header,
    kind: EntryType,
    bytes: u64,
    told: Told,
    head: Vec<u8>,
) -> Result<Member, LayError> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let written = told
        .path
        .unwrap_or_else(|| header.path_bytes().into_owned());
    let path = normal(&text(&written))?;
    if told
        .bytes
        .is_some_and(|told| told != bytes.to_string().into_bytes())
    {
        return Err(LayError::Member {
            path,
            what: "is larger than its header can say",
        });
    }
    let kind = match kind {
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => MemberKind::File,
        EntryType::Link => MemberKind::HardLink,
        EntryType::Symlink => MemberKind::SymbolicLink,
        EntryType::Directory => MemberKind::Directory,
        EntryType::Char | EntryType::Block | EntryType::Fifo => MemberKind::Other,
        _ => {
            return Err(LayError::Member {
                path,
                what: "is of a kind that is not known",
            });
        }
    };
    // Old archives have directories that are files with a slash at their names' end.
    let kind = if kind == MemberKind::File && written.ends_with(b"/") {
        MemberKind::Directory
    } else {
        kind
    };
    let target = told
        .target
        .or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned))
        .unwrap_or_default();
    Ok(Member {
        path,
        kind,
        target: text(&target),
        // Links have no data, whatever their headers say (POSIX): an archive where they do is read differently by others.
        bytes: match kind {
            MemberKind::HardLink | MemberKind::SymbolicLink if bytes > 0 => {
                return Err(LayError::Damaged("a link has data"));
            }
            _ => bytes,
        },
        header,
        head,
    })
}

/// A path in plain form; one that leads out of the tree is refused.
pub(super) fn normal(path: &str) -> Result<String, LayError> {
    let parts: Vec<&str> = path
        .split('/')
        .filter(|part| !matches!(*part, "" | "."))
        .collect();
    if parts.contains(&"..") || path.contains('\0') {
        return Err(LayError::Member {
            path: path.to_owned(),
            what: "leads out of the tree",
        });
    }
    Ok(parts.join("/"))
}

fn block(from: &mut impl Read) -> Result<[u8; BLOCK], LayError> {
    let mut block = [0; BLOCK];
    from.read_exact(&mut block).map_err(LayError::reading)?;
    Ok(block)
}

/// The sum of the header's bytes with blanks in the place of the sum itself.
fn check_sum(header: &Header, block: &[u8; BLOCK]) -> Result<(), LayError> {
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    let field: u32 = block[148..156].iter().map(|byte| u32::from(*byte)).sum();
    match header.cksum() {
        Ok(told) if told == sum - field + 8 * u32::from(b' ') => Ok(()),
        _ => Err(LayError::Damaged("a header's sum is wrong")),
    }
}

/// The data of a record with what fills its last block.
fn data(from: &mut impl Read, bytes: u64) -> Result<Vec<u8>, LayError> {
    if bytes > RECORD_LIMIT {
        return Err(LayError::Damaged("a record is too large"));
    }
    let mut data = vec![0; usize::try_from(padded(bytes)).unwrap_or_default()];
    from.read_exact(&mut data).map_err(LayError::reading)?;
    Ok(data)
}

/// Blocks of a sparse file's map that did not find room in its header.
fn sparse_maps(from: &mut impl Read, header: &Header, head: &mut Vec<u8>) -> Result<(), LayError> {
    // The flag of the header, then that of each block (GNU tar, "Sparse Formats").
    let mut goes_on = header.as_gnu().is_some_and(tar::GnuHeader::is_extended);
    while goes_on {
        let more = block(from)?;
        goes_on = more[504] != 0;
        head.extend(more);
        if head.len() as u64 > RECORD_LIMIT {
            return Err(LayError::Damaged("a map of a sparse file is too large"));
        }
    }
    Ok(())
}

/// With what fills the last block.
pub(super) fn padded(bytes: u64) -> u64 {
    bytes.next_multiple_of(BLOCK as u64)
}

impl Told {
    /// Records of the form `LENGTH KEY=VALUE\n`, the length being that of all of it.
    fn read_pax(&mut self, mut rest: &[u8]) -> Result<(), LayError> {
        let damaged = LayError::Damaged("a pax record cannot be read");
        while !rest.is_empty() {
            let parsed = (|| {
                let blank = rest.iter().position(|byte| *byte == b' ')?;
                let length: usize = std::str::from_utf8(&rest[..blank]).ok()?.parse().ok()?;
                let record = rest.get(blank + 1..length)?.strip_suffix(b"\n")?;
                let equals = record.iter().position(|byte| *byte == b'=')?;
                Some((length, &record[..equals], &record[equals + 1..]))
            })();
            let Some((length, key, value)) = parsed else {
                return Err(damaged);
            };
            match key {
                b"path" => self.path = Some(value.to_vec()),
                b"linkpath" => self.target = Some(value.to_vec()),
                b"size" => self.bytes = Some(value.to_vec()),
                // Sparse files of this form have names that are not theirs.
                _ if key.starts_with(b"GNU.sparse") => {
                    return Err(LayError::Damaged(
                        "a sparse file is in a form that is not known",
                    ));
                }
                _ => {}
            }
            rest = &rest[length..];
        }
        Ok(())
    }
}

/// Writes a member of our own.
pub(super) fn write(
    to: &mut impl Write,
    path: &str,
    kind: EntryType,
    (mode, uid, gid): (u32, u32, u32),
    contents: &[u8],
) -> Result<(), LayError> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(u64::from(uid));
    header.set_gid(u64::from(gid));
    header.set_mtime(0);
    let link = kind == EntryType::Symlink;
    let data: &[u8] = if link { &[] } else { contents };
    header.set_size(data.len() as u64);
    let fields = header.as_old_mut();
    let fits =
        put(&mut fields.name, path.as_bytes()) && (!link || put(&mut fields.linkname, contents));
    if !fits {
        return Err(LayError::Member {
            path: path.to_owned(),
            what: "has too long a name",
        });
    }
    header.set_cksum();
    to.write_all(header.as_bytes()).map_err(LayError::Write)?;
    to.write_all(data).map_err(LayError::Write)?;
    fill(to, data.len() as u64)
}

fn put(field: &mut [u8], text: &[u8]) -> bool {
    let room = field.get_mut(..text.len());
    room.is_some_and(|room| {
        room.copy_from_slice(text);
        true
    })
}

/// Writes what fills the last block of this many bytes.
pub(super) fn fill(to: &mut impl Write, bytes: u64) -> Result<(), LayError> {
    let missing = padded(bytes) - bytes;
    io::copy(&mut io::repeat(0).take(missing), to).map_err(LayError::Write)?;
    Ok(())
}
