//! Packed images, unpacked as a stream: what is damaged, cut off or followed by other data is told apart.
//!
//! [`Content`] is the front: it recognises what a file is packed by, and gives what the file holds. Behind it, [`pieces`]
//! unpacks what is only compressed, [`zip`] and [`tar`] what is wrapped as the one file of an archive.

mod codec;
mod content;
mod fault;
mod input;
mod outer;
mod pieces;
mod tar;
mod zip;

pub(crate) use content::Content;
pub(crate) use fault::UnpackError;
pub use fault::{ArchiveFault, EntryName, Fault};
pub(crate) use outer::Declared;

/// How an image is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// xz, of one block or of many, which are unpacked side by side.
    Xz,
    /// Zstandard.
    Zstd,
    /// gzip.
    Gzip,
    /// bzip2.
    Bzip2,
    /// A zip archive of one file.
    Zip,
    /// A tar archive of one file. One that is compressed as well counts as what it is compressed by.
    Tar,
}

impl Packing {
    pub(crate) const ALL: [Self; 6] = [
        Self::Xz,
        Self::Zstd,
        Self::Gzip,
        Self::Bzip2,
        Self::Zip,
        Self::Tar,
    ];
    /// What has to be there of a file to know how it is packed: a header of tar has its mark near its middle.
    const MAGIC_BYTES: usize = 512;
    /// What has to be there of a piece to know that it is one, and how much zstd says that it unpacks to (RFC 8878, 3.1.1.1).
    const PIECE_BYTES: usize = 18;

    /// The name of the format.
    pub fn name(self) -> &'static str {
        match self {
            Self::Xz => "xz",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
            Self::Bzip2 => "bzip2",
            Self::Zip => "zip",
            Self::Tar => "tar",
        }
    }

    /// The program that unpacks a file and keeps the packed one.
    pub(crate) fn program(self) -> &'static str {
        match self {
            Self::Xz => "xz -dk",
            Self::Zstd => "zstd -dk",
            Self::Gzip => "gzip -dk",
            Self::Bzip2 => "bzip2 -dk",
            Self::Zip => "unzip",
            Self::Tar => "tar -xf",
        }
    }

    /// How the file that begins so is packed, if it is.
    pub(crate) fn of(head: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|packing| packing.begins(head))
    }

    fn begins(self, head: &[u8]) -> bool {
        match self {
            Self::Xz => head.starts_with(b"\xfd7zXZ\0"),
            // A frame of data, or one for other programs, with which files made in parallel begin.
            Self::Zstd => {
                head.starts_with(b"\x28\xb5\x2f\xfd")
                    || matches!(head, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
            }
            Self::Gzip => head.starts_with(b"\x1f\x8b"),
            Self::Bzip2 => matches!(head, [b'B', b'Z', b'h', b'1'..=b'9', ..]),
            Self::Zip => head.starts_with(zip::LOCAL_HEADER),
            Self::Tar => tar::begins(head),
        }
    }

    /// Whether zeroes may follow the end, as tapes and xz itself have them.
    fn may_be_padded(self) -> bool {
        matches!(self, Self::Xz | Self::Gzip)
    }
}

#[cfg(test)]
pub(crate) mod tests;
#[cfg(test)]
pub(crate) use zip::tests::to_a_pipe;

#[cfg(test)]
mod archive_tests;
