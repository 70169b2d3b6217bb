//! Every kind of file, by its content.

use std::io::Write;
use std::path::PathBuf;

use super::*;

/// A file of `length` bytes with `bytes` at `at`.
fn file(length: u64, at: u64, bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(length).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn error(file: &tempfile::NamedTempFile) -> ImageError {
    recognise(file.path()).unwrap_err()
}

#[test]
fn an_empty_file_is_empty() {
    assert_eq!(recognise(file(0, 0, b"").path()).unwrap(), ImageKind::Empty);
}

#[test]
fn a_boot_record_or_a_partition_table_makes_a_raw_disk() {
    for (at, magic) in [
        (510, &b"\x55\xaa"[..]),
        (512, b"EFI PART"),
        (4096, b"EFI PART"),
    ] {
        let kind = recognise(file(1 << 20, at, magic).path()).unwrap();
        let raw = ImageKind::Disk {
            format: DiskFormat::Raw,
            virtual_bytes: 1 << 20,
        };
        assert_eq!(kind, raw, "{at}");
    }
}

#[test]
fn other_files_are_no_image() {
    for content in [&b"#!/bin/sh\n"[..], b"{\"ignition\":{}}", b"x"] {
        let file = file(content.len() as u64, 0, content);
        assert!(matches!(error(&file), ImageError::NotAnImage { .. }));
    }
    assert!(matches!(
        error(&file(1 << 20, 0, b"\0")),
        ImageError::NotAnImage { .. }
    ));
}

#[test]
fn packed_images_are_named_with_what_unpacks_them() {
    let unpacked_here = Packing::ALL.map(|packing| {
        let (at, magic): (_, &[u8]) = match packing {
            Packing::Xz => (0, b"\xfd7zXZ\0"),
            Packing::Zstd => (0, b"\x28\xb5\x2f\xfd"),
            Packing::Gzip => (0, b"\x1f\x8b\x08"),
            Packing::Bzip2 => (0, b"BZh9"),
            Packing::Zip => (0, b"PK\x03\x04"),
            Packing::Tar => (257, b"ustar"),
        };
        (at, magic, packing.name(), packing.program())
    });
    for &(at, magic, name, program) in PACKED.iter().chain(&unpacked_here) {
        let file = file(4096, at as u64, magic);
        let error = error(&file);
        assert!(
            matches!(&error, ImageError::Packed { format, .. } if *format == name),
            "{error:?}"
        );
        let path = file.path().display();
        assert_eq!(
            error.to_string(),
            format!("Image `{path}` is packed ({name})")
        );
        let hint = format!("unpack it first: {program} {path}");
        assert_eq!(error.hints(), [hint]);
    }
}

#[test]
fn foreign_images_are_named() {
    for &(at, magic, name, _) in FOREIGN {
        // A boot record too: hybrid ISO images have one.
        let mut file = file(1 << 20, 510, b"\x55\xaa");
        file.seek(SeekFrom::Start(at as u64)).unwrap();
        file.write_all(magic).unwrap();
        let error = error(&file);
        assert!(
            matches!(&error, ImageError::ForeignFormat { format, .. } if *format == name),
            "{error:?}"
        );
    }
    for (magic, name) in [(&b"conectix"[..], "VHD"), (b"koly", "DMG")] {
        let mut file = file(1 << 20, 510, b"\x55\xaa");
        file.seek(SeekFrom::Start((1 << 20) - 512)).unwrap();
        file.write_all(magic).unwrap();
        let error = error(&file);
        assert!(
            matches!(&error, ImageError::ForeignFormat { format, .. } if *format == name),
            "{error:?}"
        );
    }
}

#[test]
fn a_raw_disk_has_a_limit() {
    let sample = Sample {
        length: MAX_DISK_BYTES + 512,
        head: vec![0; 1024],
        tail: Vec::new(),
    };
    let mut sample = sample;
    sample.head[510..512].copy_from_slice(b"\x55\xaa");
    let error = classify(Path::new("disk"), &sample).unwrap_err();
    assert!(matches!(error, ImageError::TooLarge { .. }), "{error:?}");
}

#[test]
fn what_is_no_file_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let missing: PathBuf = directory.path().join("missing");
    let error = recognise(&missing).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("Image `{}` does not exist", missing.display())
    );
    let error = recognise(directory.path()).unwrap_err();
    let text = format!(
        "Image `{}` is a directory, not a file",
        directory.path().display()
    );
    assert_eq!(error.to_string(), text);
}
