//! What a file is, by its content: file names and media types are not believed.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use fs_err::File;

use crate::error::ImageError;
use crate::qcow2::{self, HeaderFault};
use crate::unpack::{Content, Declared, Packing, UnpackError};
use crate::{MAX_DISK_BYTES, platform};

/// What is read of a packed file at once for a look into it.
const PEEK_BUFFER: usize = 64 << 10;

/// The formats of a disk that a machine can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFormat {
    /// QEMU's own format, version 2 or 3, complete in one file.
    Qcow2,
    /// The bytes of the disk as they are.
    Raw,
}

/// What a machine is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ImageForm {
    /// A disk, from which it boots.
    #[default]
    Disk,
    /// The tree of a system's files, as a tar archive.
    Tree,
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

/// What a file is that may be packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image {
    /// How it is packed.
    pub packing: Option<Packing>,
    /// How the disk in it is stored; `None` for an empty image.
    pub format: Option<DiskFormat>,
    /// The size of that disk, as the guest sees it. A raw disk that is packed does not tell, unless it is in an archive.
    pub virtual_bytes: Option<u64>,
}

/// Says what the file at `path` is. What is no disk, or is packed, is an error that names it.
pub fn recognise(path: &Path) -> Result<ImageKind, ImageError> {
    let Some((mut file, length)) = open_file(path)? else {
        return Ok(ImageKind::Empty);
    };
    let sample = Sample::take(&mut file, length).map_err(|source| unreadable(path, source))?;
    classify(path, &sample)
}

/// Says how large the disk is that lies at `path` over the file `base` of its directory, and over no other.
pub fn recognise_layer(path: &Path, base: &str) -> Result<u64, ImageError> {
    let no_image = || ImageError::NotAnImage {
        path: path.to_owned(),
    };
    let (mut file, length) = open_file(path)?.ok_or_else(no_image)?;
    let sample = Sample::take(&mut file, length).map_err(|source| unreadable(path, source))?;
    qcow2::layered_bytes(&sample.head, length, base).map_err(|fault| header_error(path, fault))
}

/// Says what the file at `path` is, with a look into it where it is packed. What cannot become a disk is an error that
/// names it.
pub fn inspect(path: &Path) -> Result<Image, ImageError> {
    open(path).map(|(_, image)| image)
}

/// As [`inspect`], with the file, so that what is copied is what was looked at. No file is
/// returned for the null device, which cannot be copied.
pub(crate) fn open(path: &Path) -> Result<(Option<File>, Image), ImageError> {
    let Some((mut file, length)) = open_file(path)? else {
        return Ok((None, Image::plain(ImageKind::Empty)));
    };
    let sample = Sample::take(&mut file, length).map_err(|source| unreadable(path, source))?;
    let image = match Packing::of(&sample.head) {
        Some(packing) => look_into(path, &mut file, packing)?,
        None => Image::plain(classify(path, &sample)?),
    };
    file.seek(SeekFrom::Start(0))
        .map_err(|source| unreadable(path, source))?;
    Ok((Some(file), image))
}

impl Image {
    fn plain(kind: ImageKind) -> Self {
        let (format, bytes) = match kind {
            ImageKind::Empty => (None, 0),
            ImageKind::Disk {
                format,
                virtual_bytes,
            } => (Some(format), virtual_bytes),
        };
        Self {
            packing: None,
            format,
            virtual_bytes: Some(bytes),
        }
    }
}

/// What the first bytes of a packed file unpack to.
fn look_into(path: &Path, file: &mut File, packing: Packing) -> Result<Image, ImageError> {
    file.seek(SeekFrom::Start(0))
        .map_err(|source| unreadable(path, source))?;
    let failed = |error| unpack_error(path, packing, error);
    let mut content = Content::open(file, PEEK_BUFFER, 1, MAX_DISK_BYTES).map_err(failed)?;
    let mut head = vec![0; qcow2::HEADER_BYTES];
    let filled = content.fill(&mut head).map_err(failed)?;
    let whole = (filled < head.len()).then_some(filled as u64);
    let kind = beginning(path, Some(packing), &head[..filled], whole)?;
    let image = Image::plain(kind);
    let virtual_bytes = match (whole, content.declared(), image.format) {
        (Some(_), ..) | (.., Some(DiskFormat::Qcow2)) => image.virtual_bytes,
        (None, Some(Declared::Exactly(bytes)), _) => Some(bytes),
        _ => None,
    };
    Ok(Image {
        packing: Some(packing),
        virtual_bytes,
        ..image
    })
}

/// Says by its first bytes what the content of a file is going to be. A length that is not known yet is looked at when
/// all is there.
pub(crate) fn beginning(
    path: &Path,
    packing: Option<Packing>,
    head: &[u8],
    length: Option<u64>,
) -> Result<ImageKind, ImageError> {
    let sample = Sample {
        length: length.unwrap_or(MAX_DISK_BYTES),
        tail: Vec::new(),
        head: head[..head.len().min(qcow2::HEADER_BYTES)].to_vec(),
    };
    content(path, packing, |name| classify(name, &sample))
}

/// Says what was written to `file`, which is all that the file at `path` has or holds.
pub(crate) fn written(
    path: &Path,
    packing: Option<Packing>,
    file: &mut (impl Read + Seek),
    length: u64,
) -> Result<ImageKind, ImageError> {
    file.seek(SeekFrom::Start(0))
        .and_then(|_| Sample::take(file, length))
        .map_err(|source| unreadable(path, source))
        .and_then(|sample| content(path, packing, |name| classify(name, &sample)))
}

/// Errors about what is in a packed file say so. Nothing at all is no image there.
fn content(
    path: &Path,
    packing: Option<Packing>,
    classify: impl FnOnce(&Path) -> Result<ImageKind, ImageError>,
) -> Result<ImageKind, ImageError> {
    let Some(packing) = packing else {
        return classify(path);
    };
    // The name that unpacking gives it, which the hints then use.
    let name = path.with_extension("");
    let kind = classify(&name).and_then(|kind| match kind {
        ImageKind::Empty => Err(ImageError::NotAnImage { path: name }),
        kind @ ImageKind::Disk { .. } => Ok(kind),
    });
    kind.map_err(|source| ImageError::Inside {
        path: path.to_owned(),
        packing,
        source: Box::new(source),
    })
}

pub(crate) fn unpack_error(path: &Path, packing: Packing, error: UnpackError) -> ImageError {
    match error {
        UnpackError::Read(source) => unreadable(path, source),
        UnpackError::Fault(fault) => ImageError::Unpack {
            path: path.to_owned(),
            packing,
            fault,
        },
        UnpackError::TooMuch(limit) => ImageError::TooMuch {
            path: path.to_owned(),
            limit,
        },
    }
}

pub(crate) fn unreadable(path: &Path, source: std::io::Error) -> ImageError {
    ImageError::Unreadable {
        path: path.to_owned(),
        source,
    }
}

/// The file with its length; `None` for the null device.
pub(crate) fn open_file(path: &Path) -> Result<Option<(File, u64)>, ImageError> {
    let metadata = match fs_err::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(ImageError::NotFound {
                path: path.to_owned(),
            });
        }
        Err(source) => return Err(unreadable(path, source)),
    };
    if platform::is_null_device(path, &metadata) {
        return Ok(None);
    }
    if let Some(what) = platform::not_a_file(&metadata) {
        return Err(ImageError::NotAFile {
            path: path.to_owned(),
            what,
        });
    }
    let file = File::open(path).map_err(|source| unreadable(path, source))?;
    let length = file
        .metadata()
        .map_err(|source| unreadable(path, source))?
        .len();
    Ok(Some((file, length)))
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

/// Packed files that are not unpacked here: offset, magic number, name, program that unpacks.
const PACKED: &[(usize, &[u8], &str, &str)] = &[
    (0, b"\x04\x22\x4d\x18", "lz4", "lz4 -dk"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z", "7z x"),
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
    let archive = PACKED.iter().find(|entry| sample.has(entry.0, entry.1));
    let packed = archive
        .map(|&(_, _, format, unpack)| (format, unpack))
        .or_else(|| Packing::of(&sample.head).map(|packing| (packing.name(), packing.program())));
    if let Some((format, unpack)) = packed {
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
