//! Archives of tar, whole and not.

use ::tar::{Builder, EntryType, Header};

use super::super::tests::{content, unpack};
use super::super::{Content, Declared, Packing};
use super::*;

struct Item<'a> {
    name: &'a [u8],
    kind: EntryType,
    content: &'a [u8],
}

fn file<'a>(name: &'a str, content: &'a [u8]) -> Item<'a> {
    entry_of(EntryType::Regular, name, content)
}

fn entry_of<'a>(kind: EntryType, name: &'a str, content: &'a [u8]) -> Item<'a> {
    Item {
        name: name.as_bytes(),
        kind,
        content,
    }
}

/// The archive of these, with names that the crate would refuse as well.
fn archive(items: &[Item<'_>]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for item in items {
        let mut header = Header::new_ustar();
        header.as_old_mut().name[..item.name.len()].copy_from_slice(item.name);
        header.set_entry_type(item.kind);
        header.set_size(item.content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, item.content).unwrap();
    }
    builder.into_inner().unwrap()
}

pub(in super::super) fn of_one(name: &str, content: &[u8]) -> Vec<u8> {
    archive(&[file(name, content)])
}

fn fault(archive: &[u8]) -> Fault {
    unpack(Packing::Tar, archive, 1 << 20, 1 << 16).unwrap_err()
}

#[test]
fn a_directory_of_its_own_and_comments_may_stand_before() {
    let comment = b"19 comment=general\n";
    let archive = archive(&[
        entry_of(EntryType::XGlobalHeader, "pax_global_header", comment),
        entry_of(EntryType::Directory, "./", b""),
        file("./disk.raw", b"content"),
    ]);
    let unpacked = unpack(Packing::Tar, &archive, 512, 5);
    assert_eq!(unpacked.unwrap(), b"content");
}

#[test]
fn one_file_and_nothing_else() {
    for (items, text) in [
        (vec![], "the tar archive holds no file"),
        (
            vec![file("a", b"1"), file("b", b"2")],
            "the archive holds more than one file: `a` and `b`",
        ),
        (
            vec![file("a", b"1"), entry_of(EntryType::Directory, "b/", b"")],
            "the archive holds more than one file: `a` and `b/`",
        ),
        (
            vec![file("../a", b"1")],
            "the archive holds `../a`, which is a path and not the name of a file",
        ),
        (
            vec![file("/a", b"1")],
            "the archive holds `/a`, which is a path and not the name of a file",
        ),
        (
            vec![file("images/a", b"1")],
            "the archive holds `images/a`, which is a path and not the name of a file",
        ),
        (
            vec![file("images/", b"")],
            "the archive holds `images/`, which is a directory",
        ),
        (
            vec![entry_of(EntryType::Directory, "images", b"")],
            "the archive holds `images`, which is a directory",
        ),
        (
            vec![entry_of(EntryType::Symlink, "a", b"")],
            "the archive holds `a`, which is a symbolic link",
        ),
        (
            vec![entry_of(EntryType::Link, "a", b"")],
            "the archive holds `a`, which is a hard link",
        ),
        (
            vec![entry_of(EntryType::Block, "a", b"")],
            "the archive holds `a`, which is a device",
        ),
        (
            vec![entry_of(EntryType::Fifo, "a", b"")],
            "the archive holds `a`, which is a named pipe",
        ),
        (
            vec![entry_of(EntryType::GNUSparse, "a", b"")],
            "the archive holds `a`, which is a sparse file of GNU tar",
        ),
        (
            vec![entry_of(EntryType::new(b'V'), "a", b"")],
            "the archive holds `a`, which is of a kind that is unknown",
        ),
    ] {
        // An archive of nothing has no mark, so it is one with a directory.
        let items = match items.as_slice() {
            [] => vec![entry_of(EntryType::Directory, "./", b"")],
            _ => items,
        };
        assert_eq!(fault(&archive(&items)).to_string(), text);
    }
}

#[test]
fn a_root_file_system_is_named() {
    for item in [
        entry_of(EntryType::Directory, "./bin/", b""),
        entry_of(EntryType::Symlink, "bin", b""),
        entry_of(EntryType::Directory, "/usr", b""),
        file("etc/passwd", b"root"),
        file("/etc/passwd", b"root"),
    ] {
        let fault = fault(&archive(&[item]));
        assert!(
            matches!(fault, Fault::Archive(ArchiveFault::RootFileSystem(_))),
            "{fault}"
        );
    }
    // A file may be called so.
    let unpacked = unpack(Packing::Tar, &of_one("boot", b"x"), 512, 5);
    assert_eq!(unpacked.unwrap(), b"x");
}

#[test]
fn a_header_that_was_changed_is_told() {
    let whole = of_one("disk.raw", b"content");
    // Its name, its size, its checksum, and the padding of its content.
    for at in [0, 130, 150] {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        let text = fault(&changed).to_string();
        assert!(
            text.ends_with("in the tar archive, a header has another checksum"),
            "{text}"
        );
    }
    let mut header = Header::from_byte_slice(&whole[..512]).clone();
    header.as_old_mut().size = *b"not octal   ";
    header.set_cksum();
    let changed = [header.as_bytes(), &whole[512..]].concat();
    assert!(fault(&changed).to_string().contains("no valid size"));
}

#[test]
fn the_end_is_two_blocks_of_zeroes_and_more_zeroes() {
    let whole = of_one("disk.raw", &[7; 512]);
    assert_eq!(whole.len(), 4 * BLOCK);
    let at = whole.len() as u64;
    let long = [&whole[..], &[0; 9 * BLOCK]].concat();
    assert_eq!(unpack(Packing::Tar, &long, 512, 512).unwrap(), [7; 512]);
    let other = [&whole[..], b"x"].concat();
    assert_eq!(fault(&other), Fault::Trailing { at });
    let mut one = whole.clone();
    one[3 * BLOCK] = 1;
    assert!(fault(&one).to_string().contains("one block of zeroes"));
    let one = &whole[..3 * BLOCK];
    let at = one.len() as u64;
    assert_eq!(fault(one), Fault::Truncated { at });
    // As many zeroes as anybody likes come of few bytes.
    let mut endless = whole;
    endless.resize(endless.len() + (17 << 20), 0);
    assert!(matches!(fault(&endless), Fault::Trailing { .. }));
}

#[test]
fn records_are_bounded() {
    let comment = b"19 comment=general\n";
    let record = || entry_of(EntryType::XHeader, "x", comment);
    let with = |count| {
        let mut items: Vec<_> = (0..count).map(|_| record()).collect();
        items.push(file("disk.raw", b"content"));
        unpack(Packing::Tar, &archive(&items), 1 << 16, 64)
    };
    assert_eq!(with(RECORDS - 1).unwrap(), b"content");
    assert!(with(RECORDS).is_err());
    let mut items: Vec<_> = (0..RECORDS)
        .map(|_| entry_of(EntryType::Directory, "./", b""))
        .collect();
    items.push(file("disk.raw", b"content"));
    assert!(fault(&archive(&items)).to_string().contains("too many"));
    let long = vec![b'n'; 65 << 10];
    let items = [entry_of(EntryType::GNULongName, "x", &long)];
    assert!(fault(&archive(&items)).to_string().contains("64 KiB"));
    for wrong in [&b"9 size=x\n"[..], b"99 size=1\n", b"10 size=-1\n"] {
        let items = [entry_of(EntryType::XHeader, "x", wrong), file("a", b"1")];
        let fault = fault(&archive(&items));
        assert!(matches!(fault, Fault::Corrupt { .. }), "{fault}");
    }
}

#[test]
fn a_record_gives_the_name_and_the_size() {
    let items = [
        entry_of(EntryType::XHeader, "x", b"12 path=a/b\n"),
        file("a", b"1"),
    ];
    assert!(matches!(
        fault(&archive(&items)),
        Fault::Archive(ArchiveFault::Path(_))
    ));
    // The header has the size 0, as for files that are too large for it.
    let mut whole = archive(&[
        entry_of(EntryType::XHeader, "x", b"9 size=7\n"),
        file("a", b""),
    ]);
    let mut block = b"content".to_vec();
    block.resize(BLOCK, 0);
    whole.splice(3 * BLOCK..3 * BLOCK, block);
    let unpacked = unpack(Packing::Tar, &whole, 512, 64);
    assert_eq!(unpacked.unwrap(), b"content");
}

#[test]
fn the_size_is_known_at_the_first_bytes() {
    let archive = of_one("disk.raw", &content(5000));
    let mut content = Content::open(&archive[..], 0, 1, 5000).unwrap();
    content.fill(&mut [0; 10]).unwrap();
    assert_eq!(content.declared(), Some(Declared::Exactly(5000)));
    let mut content = Content::open(&archive[..], 0, 1, 4999).unwrap();
    let error = content.fill(&mut [0; 10]).unwrap_err();
    assert!(matches!(error, UnpackError::TooMuch(4999)), "{error:?}");
}
