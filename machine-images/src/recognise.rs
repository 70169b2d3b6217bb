//! What a file is, by its content: file names and media types are not believed.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use fs_err::File;

use crate::error::ImageError;
use crate::qcow2::{self, HeaderFault};
use crate::{MAX_DISK_BYTES, platform};

/// The formats of a disk that a machine can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFormat {
    /// QEMU's own format, version 2 or 3, complete in one file.
    Qcow2,
    /// The bytes of the disk as they are.
    Raw,
}

/// What an image is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageKind {
    /// Nothing: an empty file or the null device. A disk made from it is blank.
    Empty,
    /// A disk.
    Disk {
        /// How it is stored.
        format: DiskFormat,
        /// Its size as the guest sees it.
        virtual_bytes: u64,
    },
}

/// Says what the file at `path` is. What cannot become a disk is an error that names it.
pub fn recognise(path: &Path) -> Result<ImageKind, ImageError> {
    open(path).map(|(_, kind)| kind)
}

/// As [`recognise`], with the file, so that what is copied is what was looked at. No file is
/// returned for the null device, which cannot be copied.
pub(crate) fn open(path: &Path) -> Result<(Option<File>, ImageKind), ImageError> {
    let metadata = match fs_err::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(ImageError::NotFound {
                path: path.to_owned(),
            });
        }
        Err(source) => {
            return Err(ImageError::Unreadable {
                path: path.to_owned(),
                source,
            });
        }
    };
    if platform::is_null_device(path, &metadata) {
        return Ok((None, ImageKind::Empty));
    }
    if let Some(what) = platform::not_a_file(&metadata) {
        return Err(ImageError::NotAFile {
            path: path.to_owned(),
            what,
        });
    }
    let unreadable = |source| ImageError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut file = File::open(path).map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len();
    let sample = Sample::take(&mut file, length).map_err(unreadable)?;
    classify(path, &sample).map(|kind| (Some(file), kind))
}

/// The parts of a file that say what it is.
struct Sample {
    length: u64,
    /// The first bytes.
    head: Vec<u8>,
    /// The last sector.
    tail: Vec<u8>,
}

impl Sample {
    const TAIL: u64 = 512;

    fn take(file: &mut (impl Read + Seek), length: u64) -> std::io::Result<Self> {
        let mut head = Vec::new();
        file.take(qcow2::HEADER_BYTES as u64)
            .read_to_end(&mut head)?;
        file.seek(SeekFrom::Start(length.saturating_sub(Self::TAIL)))?;
        let mut tail = Vec::new();
        file.take(Self::TAIL).read_to_end(&mut tail)?;
        Ok(Self { length, head, tail })
    }

    fn has(&self, at: usize, magic: &[u8]) -> bool {
        self.head.get(at..at + magic.len()) == Some(magic)
    }
}

/// Compressed files and archives: offset, magic number, name, program that unpacks.
const PACKED: &[(usize, &[u8], &str, &str)] = &[
    (0, b"\xfd7zXZ\0", "xz", "xz -dk"),
    (0, b"\x28\xb5\x2f\xfd", "zstd", "zstd -dk"),
    (0, b"\x1f\x8b", "gzip", "gzip -dk"),
    (0, b"BZh", "bzip2", "bzip2 -dk"),
    (0, b"\x04\x22\x4d\x18", "lz4", "lz4 -dk"),
    (0, b"PK\x03\x04", "zip", "unzip"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z", "7z x"),
    (257, b"ustar", "tar", "tar -xf"),
];

/// Images of other kinds: offset, magic number, name, name for `qemu-img`. An ISO image can
/// carry a boot record too, so these are looked for before it.
const FOREIGN: &[(usize, &[u8], &str, Option<&str>)] = &[
    (0, b"vhdxfile", "VHDX", Some("vhdx")),
    (0, b"conectix", "VHD", Some("vpc")),
    (0, b"KDMV", "VMDK", Some("vmdk")),
    (0, b"# Disk DescriptorFile", "VMDK", Some("vmdk")),
    (0, b"QED\0", "QED", Some("qed")),
    (64, b"\x7f\x10\xda\xbe", "VDI", Some("vdi")),
    (0x8001, b"CD001", "ISO 9660", None),
    (0, b"hsqs", "SquashFS", None),
];

fn classify(path: &Path, sample: &Sample) -> Result<ImageKind, ImageError> {
    if sample.length == 0 {
        return Ok(ImageKind::Empty);
    }
    if sample.has(0, qcow2::MAGIC) {
        return qcow2::virtual_bytes(&sample.head, sample.length)
            .map(|virtual_bytes| ImageKind::Disk {
                format: DiskFormat::Qcow2,
                virtual_bytes,
            })
            .map_err(|fault| header_error(path, fault));
    }
    if let Some(&(_, _, format, unpack)) = PACKED.iter().find(|entry| sample.has(entry.0, entry.1))
    {
        return Err(ImageError::Packed {
            path: path.to_owned(),
            format,
            unpack,
        });
    }
    let foreign = |format, convertible_as| {
        Err(ImageError::ForeignFormat {
            path: path.to_owned(),
            format,
            convertible_as,
        })
    };
    if let Some(&(_, _, format, name)) = FOREIGN.iter().find(|entry| sample.has(entry.0, entry.1)) {
        return foreign(format, name);
    }
    // A VHD of fixed size and a macOS disk image are marked only at their end.
    if sample.tail.starts_with(b"conectix") {
        return foreign("VHD", Some("vpc"));
    }
    if sample.tail.starts_with(b"koly") {
        return foreign("DMG", Some("dmg"));
    }
    // A partition table of a disk with sectors of 4 KiB lies in its second sector as well.
    let bootable = sample.has(510, b"\x55\xaa");
    if bootable || sample.has(512, b"EFI PART") || sample.has(4096, b"EFI PART") {
        if sample.length > MAX_DISK_BYTES {
            return Err(ImageError::TooLarge {
                bytes: sample.length,
            });
        }
        return Ok(ImageKind::Disk {
            format: DiskFormat::Raw,
            virtual_bytes: sample.length,
        });
    }
    Err(ImageError::NotAnImage {
        path: path.to_owned(),
    })
}

fn header_error(path: &Path, fault: HeaderFault) -> ImageError {
    let path = path.to_owned();
    match fault {
        HeaderFault::BackingFile => ImageError::NotSelfContained {
            path,
            what: "it names a backing file",
        },
        HeaderFault::DataFile => ImageError::NotSelfContained {
            path,
            what: "it names an external data file",
        },
        HeaderFault::TooLarge(bytes) => ImageError::TooLarge { bytes },
        HeaderFault::Bad(reason) => ImageError::BadHeader { path, reason },
    }
}

#[cfg(test)]
#[path = "recognise_tests.rs"]
mod tests;
