//! The beginning and the end of the disk, as bytes: whether it is blank, and whether its formatting was cut off.
//!
//! Formatting writes for a while, in no order that could be relied on, and a power cut may leave anything. So a mark is
//! put on the disk before, and taken away after: a disk with the mark holds nothing yet that anybody made, whatever else
//! is on it. It lies in the last MiB, which is no part of the file system: `mke2fs` wipes the beginning of what it formats.

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use fs_err as fs;

/// What is looked at, and what is kept for the mark.
pub(super) const END: u64 = 1 << 20;
/// The first bytes of the mark, whose rest is zero.
const MARK: &[u8] = b"machine-data: this disk is being formatted\n";
/// Its length: what every disk writes as a whole, and a page of the guest's.
const MARK_LENGTH: usize = 4096;

/// What the disk's ends hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    /// Nothing but zeros.
    pub(super) blank: bool,
    /// The mark.
    pub(super) being_formatted: bool,
}

/// The bytes of a disk, or of a file that stands for one.
pub(super) fn size(disk: &Path) -> std::io::Result<u64> {
    fs::File::open(disk)?.seek(SeekFrom::End(0))
}

/// Looks at both ends.
pub(super) fn look(disk: &Path, size: u64) -> std::io::Result<Ends> {
    let mut file = fs::File::open(disk)?;
    let first = part(&mut file, 0, size.min(END))?;
    let last = part(&mut file, size.saturating_sub(END), size.min(END))?;
    Ok(judge(&first, &last))
}

fn part(file: &mut fs::File, offset: u64, length: u64) -> std::io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn judge(first: &[u8], last: &[u8]) -> Ends {
    let zero = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
    Ends {
        blank: zero(first) && zero(last),
        being_formatted: last
            .get(..MARK_LENGTH)
            .is_some_and(|there| there == mark().as_slice()),
    }
}

fn mark() -> Vec<u8> {
    let mut mark = MARK.to_vec();
    mark.resize(MARK_LENGTH, 0);
    mark
}

/// Puts the mark on the disk; it is there when this returns.
pub(super) fn put_mark(disk: &Path, size: u64) -> std::io::Result<()> {
    write_end(disk, size, &mark())
}

/// Takes the mark away; it is gone when this returns.
pub(super) fn take_mark(disk: &Path, size: u64) -> std::io::Result<()> {
    write_end(disk, size, &[0; MARK_LENGTH])
}

fn write_end(disk: &Path, size: u64, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).open(disk)?;
    file.seek(SeekFrom::Start(size.saturating_sub(END)))?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(size: u64) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(size).unwrap();
        file
    }

    #[test]
    fn one_byte_at_either_end_is_not_blank() {
        let length = 3 * END;
        for offset in [0, END - 1, 2 * END, length - 1] {
            let file = disk(length);
            assert!(look(file.path(), length).unwrap().blank);
            let mut open = fs::OpenOptions::new()
                .write(true)
                .open(file.path())
                .unwrap();
            open.seek(SeekFrom::Start(offset)).unwrap();
            open.write_all(&[1]).unwrap();
            let ends = look(file.path(), length).unwrap();
            let expected = Ends {
                blank: false,
                being_formatted: false,
            };
            assert_eq!(ends, expected, "{offset}");
        }
    }

    #[test]
    fn the_mark_comes_and_goes() {
        let length = 3 * END;
        let file = disk(length);
        assert_eq!(size(file.path()).unwrap(), length);
        put_mark(file.path(), length).unwrap();
        let ends = look(file.path(), length).unwrap();
        assert!(ends.being_formatted && !ends.blank);
        // It lies where the end of the disk is, nowhere else.
        assert!(!look(file.path(), length - 1).unwrap().being_formatted);
        take_mark(file.path(), length).unwrap();
        let ends = look(file.path(), length).unwrap();
        assert!(ends.blank && !ends.being_formatted);
        assert_eq!(size(file.path()).unwrap(), length);
    }

    #[test]
    fn a_part_of_the_mark_is_none() {
        let mut last = mark();
        assert!(judge(&[], &last).being_formatted);
        last[MARK_LENGTH - 1] = 1;
        assert!(!judge(&[], &last).being_formatted);
        assert!(!judge(&[], MARK).being_formatted);
        assert!(!judge(&[], &[]).being_formatted);
    }
}
