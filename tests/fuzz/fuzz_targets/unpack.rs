//! A packed image: recognised, unpacked, made a disk.

#![no_main]

use std::error::Error;

use libfuzzer_sys::fuzz_target;
use machine_images::{DiskFormat, ImageError, Reporter, Terms, inspect, prepare_on};

/// What a disk may have.
const LIMIT: u64 = 1 << 20;

macro_rules! seeds {
    ($($name:literal)*) => {
        &[$(include_bytes!(concat!("../../../machine-images/src/unpack/fixtures/", $name))),*]
    };
}

/// Archives of one disk.
const GOOD: &[&[u8]] = seeds!(
    "info-zip.zip" "info-zip-stored.zip" "info-zip-stream.zip" "python.zip" "python-zip64.zip" "python-stream.zip"
    "python-stream-zip64.zip" "ustar.tar.xz" "pax.tar.xz" "gnu.tar.xz" "pax-long.tar.xz" "gnu-long.tar.xz"
);

struct Silent;

impl Reporter for Silent {
    fn copying(&self, _done: u64, _total: u64) {}

    fn cancelled(&self) -> bool {
        false
    }
}

/// A good archive with changes of three bytes, two of them the place; or the input as it is.
fn image(kind: u8, input: &[u8]) -> Vec<u8> {
    let Some(seed) = GOOD.get(usize::from(kind)) else {
        return input.to_vec();
    };
    let mut image = seed.to_vec();
    for change in input.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % image.len();
        image[at] ^= change[2];
    }
    image
}

fn check(error: &ImageError) {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        assert!(!text.contains(char::is_control), "{text:?}");
        next = error.source();
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((kind, input)) = input.split_first() else {
        return;
    };
    let image = image(*kind, input);
    let is_good = GOOD.contains(&image.as_slice());
    let directory = tempfile::tempdir().expect("a directory");
    let (path, disk) = (
        directory.path().join("image"),
        directory.path().join("disk"),
    );
    std::fs::write(&path, &image).expect("a file");
    let seen = match inspect(&path) {
        Ok(seen) => seen,
        Err(error) => {
            assert!(!is_good, "{error:?}");
            check(&error);
            return;
        }
    };
    let terms = Terms {
        bytes: 0,
        at_most: LIMIT,
        checksum: None,
    };
    // A qcow2 image is held to another limit, which no small input reaches.
    if seen.packing.is_none() || seen.format != Some(DiskFormat::Raw) {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    match runtime.block_on(prepare_on(&terms, &path, &disk, &Silent)) {
        Ok(made) => {
            let found = std::fs::metadata(&disk).expect("a disk").len();
            assert!(found <= LIMIT && found == made.virtual_bytes);
            if let Some(told) = seen.virtual_bytes {
                assert_eq!(told.next_multiple_of(512), found);
            }
        }
        Err(error) => {
            assert!(!is_good, "{error:?}");
            check(&error);
            assert!(!disk.exists());
        }
    }
});
