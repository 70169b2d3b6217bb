//! Packed files, whole and not: packed by the libraries, cut off everywhere, changed, prolonged.

use std::io::{Read, Write};

use proptest::prelude::*;

use super::*;

/// What may be followed by more of the same.
const PIECES: [Packing; 4] = [Packing::Xz, Packing::Zstd, Packing::Gzip, Packing::Bzip2];

/// Content with runs and without.
pub(crate) fn content(bytes: usize) -> Vec<u8> {
    let mut state = 7_u32;
    (0..bytes)
        .map(|at| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if (at / 1000) % 2 == 0 {
                0
            } else {
                (state >> 24) as u8
            }
        })
        .collect()
}

pub(crate) fn pack(packing: Packing, content: &[u8]) -> Vec<u8> {
    match packing {
        Packing::Xz => {
            // Many blocks, so that several threads unpack.
            let encoder = liblzma::stream::MtStreamBuilder::new()
                .threads(2)
                .preset(1)
                .block_size(64 << 10)
                .check(liblzma::stream::Check::Crc64)
                .encoder()
                .unwrap();
            let mut writer = liblzma::write::XzEncoder::new_stream(Vec::new(), encoder);
            writer.write_all(content).unwrap();
            writer.finish().unwrap()
        }
        Packing::Zstd => {
            let mut writer = zstd::Encoder::new(Vec::new(), 1).unwrap();
            writer.include_checksum(true).unwrap();
            writer.write_all(content).unwrap();
            writer.finish().unwrap()
        }
        Packing::Gzip => {
            let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            writer.write_all(content).unwrap();
            writer.finish().unwrap()
        }
        Packing::Bzip2 => {
            let mut writer = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            writer.write_all(content).unwrap();
            writer.finish().unwrap()
        }
        Packing::Zip => zip::tests::of_one(content),
        Packing::Tar => tar::tests::of_one("disk.raw", content),
    }
}

/// Gives a few bytes at a time.
struct Slow<'a> {
    left: &'a [u8],
    bytes: usize,
}

impl Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = buffer.len().min(self.bytes).min(self.left.len());
        buffer[..count].copy_from_slice(&self.left[..count]);
        self.left = &self.left[count..];
        Ok(count)
    }
}

/// Unpacks with reads of `read` bytes into a buffer of `fill` bytes.
pub(super) fn unpack(
    packing: Packing,
    packed: &[u8],
    read: usize,
    fill: usize,
) -> Result<Vec<u8>, Fault> {
    let slow = Slow {
        left: packed,
        bytes: read,
    };
    let mut unpacker = Content::open(slow, 0, 2, u64::MAX).unwrap();
    assert_eq!(unpacker.packing(), Some(packing));
    let (mut all, mut buffer) = (Vec::new(), vec![0; fill]);
    loop {
        match unpacker.fill(&mut buffer) {
            Ok(count) => {
                all.extend(&buffer[..count]);
                if count < fill {
                    assert_eq!(unpacker.consumed(), packed.len() as u64);
                    return Ok(all);
                }
            }
            Err(UnpackError::Fault(fault)) => return Err(fault),
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[test]
fn what_was_packed_comes_back() {
    for packing in Packing::ALL {
        for bytes in [0, 1, 1000, 300_000] {
            let content = content(bytes);
            let packed = pack(packing, &content);
            assert_eq!(Packing::of(&packed), Some(packing));
            for (read, fill) in [(1, 70_000), (4096, 1), (1 << 20, 1 << 20)] {
                // A byte at a time is slow, and no different for large content.
                if read.min(fill) == 1 && bytes > 1000 {
                    continue;
                }
                let unpacked = unpack(packing, &packed, read, fill).unwrap();
                assert!(unpacked == content, "{packing:?} {bytes} {read} {fill}");
            }
        }
    }
}

#[test]
fn pieces_and_padding_are_no_end() {
    for packing in PIECES {
        let mut packed = pack(packing, b"one, ");
        packed.extend(pack(packing, b"two"));
        assert_eq!(unpack(packing, &packed, 7, 3).unwrap(), b"one, two");
        packed.extend([0; 1024]);
        let padded = unpack(packing, &packed, 64, 64);
        if packing.may_be_padded() {
            assert_eq!(padded.unwrap(), b"one, two");
        } else {
            assert!(matches!(padded, Err(Fault::Trailing { .. })), "{padded:?}");
        }
    }
    // pzstd begins with a frame that says how long the next one is.
    let mut packed = b"\x50\x2a\x4d\x18\x04\0\0\0\x10\0\0\0".to_vec();
    packed.extend(pack(Packing::Zstd, b"content"));
    assert_eq!(unpack(Packing::Zstd, &packed, 5, 64).unwrap(), b"content");
}

#[test]
fn other_data_at_the_end_is_told() {
    for packing in Packing::ALL {
        let packed = pack(packing, b"content");
        let at = packed.len() as u64;
        for rest in [&b"x"[..], b"-----BEGIN PGP SIGNATURE-----"] {
            let long = [&packed[..], rest].concat();
            let fault = unpack(packing, &long, 64, 64).unwrap_err();
            assert_eq!(fault, Fault::Trailing { at }, "{packing:?}");
        }
    }
}

#[test]
fn a_cut_at_any_byte_is_told() {
    for packing in Packing::ALL {
        let packed = pack(packing, &content(5000));
        // A shorter one has not the mark of its packing.
        let least = if packing == Packing::Tar { 512 } else { 6 };
        for length in least..packed.len() {
            let fault = unpack(packing, &packed[..length], 4096, 4096).unwrap_err();
            let at = length as u64;
            assert_eq!(fault, Fault::Truncated { at }, "{packing:?} {length}");
        }
    }
}

#[test]
fn a_cut_in_many_blocks_is_told() {
    let packed = pack(Packing::Xz, &content(400_000));
    for length in (6..packed.len()).step_by(997) {
        let fault = unpack(Packing::Xz, &packed[..length], 1 << 16, 1 << 20).unwrap_err();
        assert!(
            matches!(fault, Fault::Truncated { .. }),
            "{length}: {fault}"
        );
    }
}

/// All that is made here has a check over its content. Archives have tests of their own.
#[test]
fn a_changed_byte_is_told() {
    for packing in PIECES {
        let packed = pack(packing, &content(5000));
        for at in (packed.len() / 4..packed.len() * 3 / 4).step_by(11) {
            let mut changed = packed.clone();
            changed[at] ^= 0x20;
            let result = unpack(packing, &changed, 4096, 4096);
            assert!(result.is_err(), "{packing:?} {at}");
        }
    }
}

#[test]
fn a_window_that_takes_too_much_memory_is_refused() {
    // A frame header without a size and with a window of 2 GiB, then an empty last block.
    let packed = b"\x28\xb5\x2f\xfd\x00\xa8\x01\0\0";
    let fault = unpack(Packing::Zstd, packed, 64, 64).unwrap_err();
    assert_eq!(fault, Fault::Memory);
    assert_eq!(
        fault.to_string(),
        "unpacking it takes more than 1024 MiB of memory"
    );
}

#[test]
fn zstd_may_say_how_much_it_unpacks_to() {
    let content = content(5000);
    let mut writer = zstd::Encoder::new(Vec::new(), 1).unwrap();
    writer.set_pledged_src_size(Some(5000)).unwrap();
    writer.write_all(&content).unwrap();
    let packed = writer.finish().unwrap();
    // What other programs put before it does not say.
    let mut after = b"\x50\x2a\x4d\x18\x04\0\0\0\x10\0\0\0".to_vec();
    after.extend(&packed);
    for packed in [packed, after] {
        let open = |limit| Content::open(&packed[..], 0, 1, limit).unwrap();
        let mut content = open(5000);
        content.fill(&mut [0; 10]).unwrap();
        assert_eq!(content.declared(), Some(Declared::AtLeast(5000)));
        let error = open(4999).fill(&mut [0; 10]).unwrap_err();
        assert!(matches!(error, UnpackError::TooMuch(4999)), "{error:?}");
    }
}

proptest! {
    /// Whatever follows a magic number: an end or an error, no panic and no endless loop.
    #[test]
    fn any_input_comes_to_an_end(
        packing in prop::sample::select(&Packing::ALL[..]),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        cut in 0_usize..200,
        at in any::<prop::sample::Index>(),
    ) {
        let mut input = pack(packing, &content(2000));
        let at = at.index(input.len());
        let end = (at + cut).min(input.len());
        input.splice(at..end, bytes);
        let slow = Slow { left: &input, bytes: 64 };
        let mut unpacker = Content::open(slow, 0, 2, u64::MAX).unwrap();
        let mut buffer = vec![0; 1 << 16];
        // Nothing here unpacks to more than some thousand times of what it is.
        for _ in 0..100 {
            match unpacker.fill(&mut buffer) {
                Ok(count) if count == buffer.len() => {}
                Ok(_) => {
                    prop_assert_eq!(unpacker.consumed(), input.len() as u64);
                    return Ok(());
                }
                Err(_) => return Ok(()),
            }
        }
    }
}
