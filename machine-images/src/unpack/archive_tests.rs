//! Archives that other programs made.

use super::tests::unpack;
use super::*;

/// What all of them hold.
fn disk() -> Vec<u8> {
    let mut disk = vec![b'b'; 1024];
    disk[510..].fill(0);
    disk[510..512].copy_from_slice(b"\x55\xaa");
    disk
}

macro_rules! fixture {
    ($name:literal) => {
        ($name, &include_bytes!(concat!("fixtures/", $name))[..])
    };
}

#[test]
fn archives_of_other_programs_are_unpacked() {
    for (name, archive) in [
        fixture!("info-zip.zip"),
        fixture!("info-zip-stored.zip"),
        fixture!("info-zip-stream.zip"),
        fixture!("python.zip"),
        fixture!("python-zip64.zip"),
        fixture!("python-stream.zip"),
        fixture!("python-stream-zip64.zip"),
        fixture!("ustar.tar.xz"),
        fixture!("pax.tar.xz"),
        fixture!("gnu.tar.xz"),
        fixture!("pax-long.tar.xz"),
        fixture!("gnu-long.tar.xz"),
    ] {
        for read in [1, 1 << 20] {
            let unpacked = unpack(Packing::of(archive).unwrap(), archive, read, 700);
            assert_eq!(unpacked, Ok(disk()), "{name}");
        }
    }
}

#[test]
fn what_is_no_file_in_archives_of_other_programs_is_named() {
    for ((name, archive), text) in [
        (
            fixture!("info-zip-encrypted.zip"),
            "the archive holds `disk.raw`, which is encrypted",
        ),
        (
            fixture!("gnu-sparse.tar.xz"),
            "the archive holds `sparse.raw`, which is a sparse file of GNU tar",
        ),
        (
            fixture!("pax-sparse.tar.xz"),
            "the archive holds `sparse.raw`, which is a sparse file of GNU tar",
        ),
        (
            fixture!("root.tar.xz"),
            "it is a root file system, not a disk: the archive holds `./etc/`",
        ),
    ] {
        let fault = unpack(Packing::of(archive).unwrap(), archive, 64, 700).unwrap_err();
        assert_eq!(fault.to_string(), text, "{name}");
    }
}
