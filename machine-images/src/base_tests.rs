//! Streams that become disks, and streams that do not.

use super::*;
use crate::unpack::tests::{content, pack};

fn make_of(stream: &[u8]) -> (Result<Base, ImageError>, Vec<u8>) {
    let directory = tempfile::tempdir().unwrap();
    let disk = directory.path().join("disk");
    let made = make(Path::new("image"), stream, &disk, Checks::default(), |_| {
        Next::Continue
    });
    (made, fs_err::read(&disk).unwrap_or_default())
}

fn raw(bytes: usize) -> Vec<u8> {
    let mut disk = content(bytes);
    disk[510..512].copy_from_slice(b"\x55\xaa");
    disk
}

#[test]
fn a_disk_of_any_length_is_complete() {
    // Around the pieces in which it is read.
    for bytes in [512, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK] {
        let disk = raw(bytes);
        for packing in [None, Some(Packing::Zstd)] {
            let stream = packing.map_or_else(|| disk.clone(), |packing| pack(packing, &disk));
            let (made, written) = make_of(&stream);
            let made = made.unwrap();
            assert_eq!((made.virtual_bytes, made.packing), (bytes as u64, packing));
            assert_eq!(made.bytes, stream.len() as u64);
            assert_eq!(
                made.checksum,
                Checksum::of(Sha256::new_with_prefix(&stream))
            );
            assert_eq!(made.content, Checksum::of_bytes(&disk));
            assert!(written == disk);
        }
    }
}

#[test]
fn what_is_no_image_is_refused() {
    for stream in [&b""[..], b"x", b"<html>", &[0; 4096]] {
        let (made, _) = make_of(stream);
        assert!(
            matches!(made, Err(ImageError::NotAnImage { .. })),
            "{made:?}"
        );
    }
    let (made, _) = make_of(&pack(Packing::Gzip, b"no disk"));
    assert!(matches!(made, Err(ImageError::Inside { .. })), "{made:?}");
}

#[test]
fn a_stream_that_fails_makes_nothing() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let disk = directory.path().join("disk");
    let stream = raw(4096);
    let made = make(
        Path::new("image"),
        stream.as_slice().chain(Broken),
        &disk,
        Checks::default(),
        |_| Next::Continue,
    );
    assert!(
        matches!(made, Err(ImageError::Unreadable { .. })),
        "{made:?}"
    );
}

#[test]
fn who_asks_for_an_end_gets_it() {
    let directory = tempfile::tempdir().unwrap();
    let disk = directory.path().join("disk");
    let made = make(
        Path::new("image"),
        &raw(4096)[..],
        &disk,
        Checks::default(),
        |_| Next::Cancel,
    );
    assert!(
        matches!(made, Err(ImageError::Cancelled { .. })),
        "{made:?}"
    );
}
