//! Why an image cannot become a disk, and what the user can do about it.

use std::io;
use std::path::PathBuf;

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
    /// What the user can do, one sentence each.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Packed { path, unpack, .. } => vec![format!(
                "unpacking comes in a later version; unpack it first: {unpack} {}",
                path.display()
            )],
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
