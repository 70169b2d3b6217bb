//! How large the file system on a disk is, by its superblock
//! ("Super Block" of the kernel's documentation of ext4: numbers are little-endian).

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// Where it begins, and its length.
const OFFSET: u64 = 1024;
const LENGTH: usize = 1024;
const MAGIC: u16 = 0xef53;
/// The largest shift of 1 KiB that gives a size of blocks.
const LARGEST: u32 = 6;
/// The bit of `s_feature_incompat` by which the upper half of the number of blocks counts.
const SIXTY_FOUR_BIT: u32 = 0x80;

/// The size of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) blocks: u64,
    /// Bytes of a block.
    pub(super) block: u64,
}

impl Size {
    /// All its bytes.
    pub(super) fn bytes(self) -> u64 {
        self.blocks.saturating_mul(self.block)
    }
}

/// Reads it from a disk; nothing where there is no superblock.
pub(super) fn size(disk: &Path) -> std::io::Result<Option<Size>> {
    let mut file = fs_err::File::open(disk)?;
    file.seek(SeekFrom::Start(OFFSET))?;
    let mut bytes = Vec::with_capacity(LENGTH);
    file.take(LENGTH as u64).read_to_end(&mut bytes)?;
    Ok(read(&bytes))
}

fn read(superblock: &[u8]) -> Option<Size> {
    let four = |offset: usize| {
        let bytes = superblock.get(offset..offset + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    let magic = superblock.get(0x38..0x3a)?;
    if u16::from_le_bytes(magic.try_into().ok()?) != MAGIC {
        return None;
    }
    let shift = four(0x18).filter(|shift| *shift <= LARGEST)?;
    let upper = if four(0x60)? & SIXTY_FOUR_BIT != 0 {
        four(0x150)?
    } else {
        0
    };
    Some(Size {
        blocks: (u64::from(upper) << 32) | u64::from(four(0x4)?),
        block: 1024 << shift,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn superblock(blocks: u64, shift: u32, incompatible: u32) -> Vec<u8> {
        let mut bytes = vec![0; LENGTH];
        let mut put = |offset: usize, value: &[u8]| {
            bytes[offset..offset + value.len()].copy_from_slice(value);
        };
        let blocks = blocks.to_le_bytes();
        put(0x4, &blocks[..4]);
        put(0x150, &blocks[4..]);
        put(0x18, &shift.to_le_bytes());
        put(0x38, &[0x53, 0xef]);
        put(0x60, &incompatible.to_le_bytes());
        bytes
    }

    #[test]
    fn sizes() {
        let size = |blocks, block| Some(Size { blocks, block });
        // 64 TiB in blocks of 4 KiB.
        assert_eq!(read(&superblock(1 << 34, 2, 0x80)), size(1 << 34, 4096));
        assert_eq!(read(&superblock((5 << 32) + 7, 0, 0x42)), size(7, 1024));
        assert_eq!(read(&superblock(1, 7, 0)), None);
        assert_eq!(read(&[0; LENGTH]), None);
        let huge = Size {
            blocks: u64::MAX,
            block: 4096,
        };
        assert_eq!(huge.bytes(), u64::MAX);
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..LENGTH)) {
            read(&bytes);
            let mut magic = bytes;
            if let Some(place) = magic.get_mut(0x38..0x3a) {
                place.copy_from_slice(&[0x53, 0xef]);
            }
            read(&magic);
        }
    }
}
