//! Archives of zip, written here as APPNOTE has them, whole and with every part changed.

use std::io::Write;

use super::super::tests::{content, unpack};
use super::super::{Content, Declared, UnpackError};
use super::*;

/// How a writer writes.
#[derive(Clone)]
struct Writer {
    name: &'static [u8],
    flags: u16,
    method: u16,
    /// Whether the sizes follow the content, in numbers of 64 bits or not, with a mark or without.
    after: Option<(bool, bool)>,
    /// Whether the header, the directory and the end have numbers of 64 bits.
    wide: bool,
    /// Who made it and the file's mode, in the directory.
    mode: (u16, u32),
    comment: &'static [u8],
    /// What is added to the length in the header and in the directory.
    lie: u64,
}

const PLAIN: Writer = Writer {
    name: b"disk.raw",
    flags: 0,
    method: 8,
    after: None,
    wide: false,
    mode: (0, 0),
    comment: b"",
    lie: 0,
};

struct Entry {
    local: Vec<u8>,
    central: Vec<u8>,
}

impl Writer {
    fn entry(&self, content: &[u8]) -> Entry {
        let packed = if self.method == 8 {
            let mut writer =
                flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
            writer.write_all(content).unwrap();
            writer.finish().unwrap()
        } else {
            content.to_vec()
        };
        let mut crc = Crc::new();
        crc.update(content);
        let crc = crc.sum().to_le_bytes();
        let (small, large) = (
            packed.len() as u64,
            (content.len() as u64).wrapping_add(self.lie),
        );
        let wide = [large.to_le_bytes(), small.to_le_bytes()].concat();
        let narrow = [
            u32::try_from(small).unwrap().to_le_bytes(),
            u32::try_from(large).unwrap_or(u32::MAX).to_le_bytes(),
        ]
        .concat();
        let all = [0xff; 8];
        let flags = self.flags | if self.after.is_some() { 8 } else { 0 };
        let length = u16::try_from(self.name.len()).unwrap().to_le_bytes();
        let field: Vec<u8> = if self.wide {
            // A field of somebody else before it.
            [b"XX\x02\0ab\x01\0\x10\0".as_slice(), &wide].concat()
        } else {
            b"UT\x01\0x".to_vec()
        };
        let extra = u16::try_from(field.len()).unwrap().to_le_bytes();
        let sizes = match (self.after, self.wide) {
            (Some(_), false) => [0; 12].to_vec(),
            (Some(_), true) => [&[0; 4], &all[..]].concat(),
            (None, true) => [&crc, &all[..]].concat(),
            (None, false) => [&crc, &narrow[..]].concat(),
        };
        let common = [
            &[45, 0][..],
            &flags.to_le_bytes(),
            &self.method.to_le_bytes(),
            &[0; 4],
        ]
        .concat();
        let mut local = [LOCAL_HEADER, &common, &sizes, &length, &extra].concat();
        local.extend([self.name, &field, &packed].concat());
        if let Some((wide, mark)) = self.after {
            let numbers = if wide {
                [small.to_le_bytes(), large.to_le_bytes()].concat()
            } else {
                narrow.clone()
            };
            let mark = if mark { DESCRIPTOR } else { &[] };
            local.extend([mark, &crc, &numbers].concat());
        }
        let numbers = if self.wide { &all[..] } else { &narrow[..] };
        let mut central = CENTRAL_HEADER.to_vec();
        central.extend([45, u8::try_from(self.mode.0).unwrap()]);
        central.extend([&common, &crc[..], numbers, &length, &extra, &[0; 6]].concat());
        central.extend(self.mode.1.to_le_bytes());
        central.extend([&[0; 4], self.name, &field].concat());
        Entry { local, central }
    }

    fn end(&self, at: usize, directory: usize, count: u16) -> Vec<u8> {
        let (at, directory) = (at as u64, directory as u64);
        let mut end = Vec::new();
        let short = |value: u64| u32::try_from(value).unwrap().to_le_bytes();
        let counts = u64::from(count).to_le_bytes();
        if self.wide {
            end.extend([WIDE_END, &44_u64.to_le_bytes(), &[45, 0, 45, 0], &[0; 8]].concat());
            end.extend([counts, counts, directory.to_le_bytes(), at.to_le_bytes()].concat());
            let end_at = (at + directory).to_le_bytes();
            end.extend([WIDE_LOCATOR, &[0; 4], &end_at, &[1, 0, 0, 0]].concat());
            end.extend([END, &[0; 4], &[0xff; 12]].concat());
        } else {
            let count = count.to_le_bytes();
            end.extend([END, &[0; 4], &count, &count].concat());
            end.extend([short(directory), short(at)].concat());
        }
        end.extend(u16::try_from(self.comment.len()).unwrap().to_le_bytes());
        end.extend(self.comment);
        end
    }

    fn archive(&self, content: &[u8]) -> Vec<u8> {
        let Entry { local, central } = self.entry(content);
        let end = self.end(local.len(), central.len(), 1);
        [local, central, end].concat()
    }
}

pub(in super::super) fn of_one(content: &[u8]) -> Vec<u8> {
    PLAIN.archive(content)
}

/// As it is written to a pipe: how large the file is stands behind it.
pub(crate) fn to_a_pipe(content: &[u8]) -> Vec<u8> {
    let writer = Writer {
        after: Some((false, true)),
        ..PLAIN
    };
    writer.archive(content)
}

fn unzip(archive: &[u8]) -> Result<Vec<u8>, Fault> {
    unpack(Packing::Zip, archive, 1 << 20, 1 << 16)
}

fn fault(archive: &[u8]) -> String {
    unzip(archive).unwrap_err().to_string()
}

/// All ways in which one archive can be written.
fn writers() -> Vec<Writer> {
    let mut writers = Vec::new();
    for wide in [false, true] {
        for method in [0, 8] {
            writers.push(Writer {
                method,
                wide,
                comment: b"a comment",
                mode: (3, 0o100_644 << 16),
                ..PLAIN
            });
        }
        for after in [(false, false), (false, true), (true, false), (true, true)] {
            writers.push(Writer {
                after: Some(after),
                wide,
                ..PLAIN
            });
        }
    }
    writers
}

#[test]
fn every_way_of_writing_is_read() {
    for writer in writers() {
        for bytes in [0, 1, 5000, 100_000] {
            let content = content(bytes);
            let archive = writer.archive(&content);
            for (read, fill) in [(7, 1000), (1 << 20, 1 << 20)] {
                let unpacked = unpack(Packing::Zip, &archive, read, fill);
                assert!(unpacked == Ok(content.clone()), "{bytes}");
            }
        }
    }
}

#[test]
fn a_cut_anywhere_is_told() {
    for writer in writers() {
        let archive = writer.archive(&content(3000));
        for length in 4..archive.len() {
            let at = length as u64;
            let cut = unzip(&archive[..length]);
            assert_eq!(cut, Err(Fault::Truncated { at }), "{length}");
        }
    }
}

/// Each byte that is not the date, the version, an unknown field or a comment counts.
#[test]
fn a_changed_byte_is_told() {
    let content = content(300);
    for writer in writers() {
        let writer = Writer {
            comment: b"",
            ..writer
        };
        let Entry { local, central } = writer.entry(&content);
        let archive = writer.archive(&content);
        let mut unseen = Vec::new();
        for at in 0..archive.len() {
            let mut changed = archive.clone();
            changed[at] ^= 0x40;
            if at >= 4 && unzip(&changed).is_ok() {
                unseen.push(at);
            }
        }
        let allowed = |at: &usize| {
            let header = writer.name.len() + 30;
            let in_local = match *at {
                // Version, flags for names and speed, date.
                4..8 | 10..14 => true,
                // Sizes that count for nothing where they follow.
                14..26 => writer.after.is_some(),
                at => (header..header + 30).contains(&at),
            };
            let directory = at.wrapping_sub(local.len());
            let in_central = *at >= local.len()
                && match directory {
                    // Versions, flags, date; disk, kinds.
                    4..10 | 12..16 | 34..42 => true,
                    at => at >= 46 + writer.name.len() && at < central.len(),
                };
            let end = at.wrapping_sub(local.len() + central.len());
            // Length and versions of the end in 64 bits, disks.
            let in_end = writer.wide
                && *at >= local.len() + central.len()
                && matches!(end, 12..24 | 60..64 | 72..76);
            in_local || in_central || in_end
        };
        let wrong: Vec<_> = unseen.iter().filter(|at| !allowed(at)).collect();
        assert!(wrong.is_empty(), "{wrong:?} of {}", archive.len());
    }
}

#[test]
fn one_file_and_nothing_else() {
    let named = |name| Writer { name, ..PLAIN }.archive(b"content");
    for (archive, text) in [
        (
            named(b"a/disk.raw"),
            "the archive holds `a/disk.raw`, which is a path and not the name of a file",
        ),
        (
            named(b"..\\disk.raw"),
            "the archive holds `..\\\\disk.raw`, which is a path and not the name of a file",
        ),
        (
            named(b".."),
            "the archive holds `..`, which is a path and not the name of a file",
        ),
        (
            named(b""),
            "the archive holds ``, which is a path and not the name of a file",
        ),
        (
            named(b"disk/"),
            "the archive holds `disk/`, which is a directory",
        ),
        (
            Writer {
                mode: (3, 0o120_777 << 16),
                ..PLAIN
            }
            .archive(b"elsewhere"),
            "the archive holds `disk.raw`, which is a link or a special file",
        ),
    ] {
        assert_eq!(fault(&archive), text);
    }
    for flag in [1, 1 << 6, 1 << 13] {
        let encrypted = Writer {
            flags: flag,
            ..PLAIN
        };
        let text = fault(&encrypted.archive(b"content"));
        assert_eq!(text, "the archive holds `disk.raw`, which is encrypted");
    }
    for (method, name) in [(93, "zstd"), (9, "Deflate64"), (1000, "method 1000")] {
        let other = Writer { method, ..PLAIN };
        let text = fault(&other.archive(b"content"));
        assert_eq!(
            text,
            format!("the archive holds `disk.raw`, which is packed by {name}")
        );
    }
}

#[test]
fn a_second_file_is_named() {
    // As macOS packs a file.
    let (first, second) = (
        PLAIN.entry(b"content"),
        Writer {
            name: b"__MACOSX/._disk.raw",
            ..PLAIN
        }
        .entry(b"facts"),
    );
    let text = "the archive holds more than one file: `disk.raw` and `__MACOSX/._disk.raw`";
    let locals = [&first.local[..], &second.local].concat();
    let centrals = [&first.central[..], &second.central].concat();
    let end = PLAIN.end(locals.len(), centrals.len(), 2);
    assert_eq!(fault(&[&locals[..], &centrals, &end].concat()), text);
    // One that only the directory has.
    let end = PLAIN.end(first.local.len(), centrals.len(), 2);
    assert_eq!(fault(&[&first.local[..], &centrals, &end].concat()), text);
    // Another one than the directory has.
    let end = PLAIN.end(first.local.len(), second.central.len(), 1);
    let text = fault(&[&first.local[..], &second.central, &end].concat());
    assert!(
        text.ends_with("its directory describes another file"),
        "{text}"
    );
}

#[test]
fn sizes_that_are_not_true_are_told() {
    for wide in [false, true] {
        for after in [None, Some((wide, true))] {
            let liar = Writer {
                wide,
                after,
                lie: 1,
                ..PLAIN
            };
            let text = fault(&liar.archive(b"content"));
            assert!(
                text.ends_with("a file has another checksum or length than it should"),
                "{text}"
            );
        }
    }
    // Less than there is, which would never come to an end.
    let endless = Writer {
        lie: 10_u64.wrapping_neg(),
        wide: true,
        ..PLAIN
    };
    let text = fault(&endless.archive(&vec![0; 1 << 20]));
    assert!(
        text.ends_with("a file is longer than its header says"),
        "{text}"
    );
    let stored = Writer {
        method: 0,
        after: Some((false, true)),
        ..PLAIN
    };
    let text = fault(&stored.archive(b"content"));
    assert!(
        text.ends_with("a file is stored without its length"),
        "{text}"
    );
    let stored = Writer {
        method: 0,
        lie: 1,
        ..PLAIN
    };
    let text = fault(&stored.archive(b"content"));
    assert!(text.ends_with("a stored file has two lengths"), "{text}");
}

#[test]
fn what_follows_the_end_is_told() {
    let mut archive = of_one(b"content");
    let at = archive.len() as u64;
    archive.push(0);
    assert_eq!(unzip(&archive), Err(Fault::Trailing { at }));
}

#[test]
fn a_long_record_is_refused() {
    let mut archive = of_one(b"content");
    archive[28..30].copy_from_slice(&[0xff, 0xff]);
    assert!(fault(&archive).ends_with("a record is longer than 32 KiB"));
}

#[test]
fn the_size_is_known_at_the_first_bytes() {
    let archive = of_one(&content(5000));
    let open = |limit| Content::open(&archive[..], 0, 1, limit).unwrap();
    let mut content = open(5000);
    content.fill(&mut [0; 10]).unwrap();
    assert_eq!(content.declared(), Some(Declared::Exactly(5000)));
    let error = open(4999).fill(&mut [0; 10]).unwrap_err();
    assert!(matches!(error, UnpackError::TooMuch(4999)), "{error:?}");
    // A size of 16 EiB in a header of 64 bits.
    let huge = Writer {
        wide: true,
        lie: u64::MAX - 7,
        ..PLAIN
    };
    let archive = huge.archive(b"content");
    let mut content = Content::open(&archive[..], 0, 1, 1 << 40).unwrap();
    let error = content.fill(&mut [0; 1]).unwrap_err();
    assert!(matches!(error, UnpackError::TooMuch(_)), "{error:?}");
}
