//! Why an image cannot become a disk, and what the user can do about it.

use std::io;
use std::path::{Path, PathBuf};

use crate::checksum::Checksum;
use crate::openpgp::SignatureError;
use crate::unpack::{ArchiveFault, Fault, Packing};

/// What went wrong with an image or with the disk made from it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// There is no file of this name.
    #[error("Image `{}` does not exist", path.display())]
    NotFound {
        /// The image.
        path: PathBuf,
    },
    /// A directory, a socket, a block device: not a file that can be copied.
    #[error("Image `{}` is {what}, not a file", path.display())]
    NotAFile {
        /// The image.
        path: PathBuf,
        /// What it is, with its article.
        what: &'static str,
    },
    /// The operating system refuses to read it.
    #[error("Image `{}` cannot be read", path.display())]
    Unreadable {
        /// The image.
        path: PathBuf,
        /// The refusal.
        #[source]
        source: io::Error,
    },
    /// A packed image that cannot be unpacked.
    #[error("Image `{}` cannot be unpacked by {}: {fault}", path.display(), packing.name())]
    Unpack {
        /// The image.
        path: PathBuf,
        /// How it is packed.
        packing: Packing,
        /// What is wrong with it.
        fault: Fault,
    },
    /// A packed file whose content is no image.
    #[error("What image `{}` holds, packed by {}, cannot become a disk", path.display(), packing.name())]
    Inside {
        /// The image.
        path: PathBuf,
        /// How it is packed.
        packing: Packing,
        /// What it holds.
        #[source]
        source: Box<ImageError>,
    },
    /// It is not the tree of a system in a tar archive, where nothing else will do.
    #[error("Image `{}` is no tar archive of a system's files", path.display())]
    NotATree {
        /// The image.
        path: PathBuf,
    },
    /// A packed image that is larger than the disk may be.
    #[error("Image `{}` unpacks to more than {} GiB", path.display(), limit >> 30)]
    TooMuch {
        /// The image.
        path: PathBuf,
        /// What it may unpack to.
        limit: u64,
    },
    /// It is not the file that the user wants.
    #[error("Image `{}` has another checksum: expected {expected}, found {found}", path.display())]
    Mismatch {
        /// The image.
        path: PathBuf,
        /// What was asked for.
        expected: Checksum,
        /// What it has.
        found: Checksum,
    },
    /// It is not the file that was signed.
    #[error("Image `{}` is not the one that its publisher signed", path.display())]
    Signature {
        /// The image.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: Box<SignatureError>,
    },
    /// The file was changed while it was read.
    #[error("Image `{}` was changed while it was copied", path.display())]
    Changed {
        /// The image.
        path: PathBuf,
    },
    /// A file that unpacks to an image, or to something that holds one.
    #[error("Image `{}` is packed ({format})", path.display())]
    Packed {
        /// The image.
        path: PathBuf,
        /// The name of the format.
        format: &'static str,
        /// The command that unpacks it.
        unpack: &'static str,
    },
    /// A disk image of another kind.
    #[error("Image `{}` is in the format {format}, which is not supported", path.display())]
    ForeignFormat {
        /// The image.
        path: PathBuf,
        /// The name of the format.
        format: &'static str,
        /// How `qemu-img` calls the format, if it can convert it.
        convertible_as: Option<&'static str>,
    },
    /// Neither qcow2 nor a disk with a boot record or partition table.
    #[error("`{}` is not a disk image", path.display())]
    NotAnImage {
        /// The file.
        path: PathBuf,
    },
    /// A qcow2 image that says that a part of it lies in another file.
    #[error("Image `{}` needs another file: {what}", path.display())]
    NotSelfContained {
        /// The image.
        path: PathBuf,
        /// Which kind of other file.
        what: &'static str,
    },
    /// A qcow2 image with a header that cannot be true or is beyond what is supported.
    #[error("Image `{}` has a qcow2 header that cannot be used: {reason}", path.display())]
    BadHeader {
        /// The image.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The image or the size asked for passes [`MAX_DISK_BYTES`](crate::MAX_DISK_BYTES).
    #[error(
        "A disk of {bytes} bytes is larger than the limit of {} bytes",
        crate::MAX_DISK_BYTES
    )]
    TooLarge {
        /// The size.
        bytes: u64,
    },
    /// The disk is there already, and a disk is never overwritten.
    #[error("Disk `{}` already exists", path.display())]
    Exists {
        /// The disk.
        path: PathBuf,
    },
    /// The file system of the new disk is full.
    #[error("No space left for disk `{}`: {}", path.display(), amounts(*needed, *free))]
    Full {
        /// The new disk.
        path: PathBuf,
        /// Bytes that the image takes there.
        needed: u64,
        /// Bytes that are free there, where the system tells.
        free: Option<u64>,
        /// The refusal.
        #[source]
        source: io::Error,
    },
    /// The disk cannot be written.
    #[error("Disk `{}` cannot be written", path.display())]
    Write {
        /// The new disk.
        path: PathBuf,
        /// The refusal.
        #[source]
        source: io::Error,
    },
    /// The disk cannot be given the size.
    #[error("Disk `{}` cannot be grown to {bytes} bytes", path.display())]
    Grow {
        /// The disk.
        path: PathBuf,
        /// The size.
        bytes: u64,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The reporter said so; nothing is left of the new disk.
    #[error("Preparing disk `{}` was cancelled", path.display())]
    Cancelled {
        /// The disk that does not exist.
        path: PathBuf,
    },
    /// The thread of the copy ended without an answer, which is an error of this program.
    #[error("The copy into disk `{}` ended unexpectedly", path.display())]
    Lost {
        /// The disk.
        path: PathBuf,
        /// How the thread ended.
        #[source]
        source: tokio::task::JoinError,
    },
}

impl ImageError {
    /// Whether the host is to blame and not the image: then what was fetched of it is worth keeping.
    pub(crate) fn is_of_host(&self) -> bool {
        matches!(
            self,
            Self::Full { .. } | Self::Write { .. } | Self::Cancelled { .. } | Self::Lost { .. }
        )
    }

    /// What the user can do, one sentence each.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Packed { path, unpack, .. } => {
                vec![format!("unpack it first: {unpack} {}", path.display())]
            }
            Self::Unpack {
                path,
                fault: Fault::Memory,
                packing,
            } => vec![unpack_first(path, *packing)],
            Self::Unpack {
                path,
                fault: Fault::Archive(fault),
                packing,
            } => vec![match fault {
                ArchiveFault::RootFileSystem(_) => "such a file is for WSL or for containers; a machine boots from the \
                                                    image of a disk, such as `stable` or one for QEMU"
                    .to_owned(),
                // A tar archive may be in a file that is compressed, which its program unpacks as well.
                _ => format!(
                    "unpack it with `{}`, and name the image of a disk that was in it: {}",
                    match packing {
                        Packing::Zip => packing.program(),
                        _ => Packing::Tar.program(),
                    },
                    path.display()
                ),
            }],
            Self::Unpack { .. } => {
                vec!["get the file again, and compare its checksum with the publisher's".to_owned()]
            }
            Self::Inside {
                path,
                packing,
                source,
            } => std::iter::once(unpack_first(path, *packing))
                .chain(source.hints())
                .collect(),
            Self::TooMuch { .. } => vec![
                "the limit is the size that `--disk-size` asks for, and 1 TiB without it".to_owned(),
            ],
            Self::NotATree { .. } => vec![
                "an image for this provider is a tar file of the root directory, as `podman export` writes it, packed by \
                 gzip, xz or zstd or not at all"
                    .to_owned(),
            ],
            Self::Mismatch { .. } => vec![
                "either the file is damaged or another one, or the checksum is of the unpacked image: it is that of the \
                 file as it is"
                    .to_owned(),
            ],
            Self::Signature { source, .. } => source.hints(),
            Self::ForeignFormat {
                path,
                convertible_as: Some(name),
                ..
            } => vec![format!(
                "convert it first: qemu-img convert -f {name} -O qcow2 {} {}",
                path.display(),
                path.with_extension("qcow2").display()
            )],
            Self::ForeignFormat { .. } | Self::NotAnImage { .. } => {
                vec!["an image is a qcow2 file or the raw content of a bootable disk".to_owned()]
            }
            Self::NotSelfContained { path, .. } => vec![format!(
                "make it one file, if you trust what it names: qemu-img convert -O qcow2 {} NEW.qcow2",
                path.display()
            )],
            Self::BadHeader { path, .. } => {
                vec![format!(
                    "have it checked: qemu-img check {}",
                    path.display()
                )]
            }
            Self::Full { path, .. } => vec![format!(
                "free some space where `{}` lies, or keep machines elsewhere by MACHINE_HOME",
                path.parent().unwrap_or(path).display()
            )],
            _ => Vec::new(),
        }
    }
}

fn unpack_first(path: &Path, packing: Packing) -> String {
    format!("unpack it first: {} {}", packing.program(), path.display())
}

fn amounts(needed: u64, free: Option<u64>) -> String {
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    match free {
        Some(free) => format!(
            "{} MiB are needed and {} MiB are free",
            mib(needed),
            free >> 20
        ),
        None => format!("{} MiB are needed", mib(needed)),
    }
}
