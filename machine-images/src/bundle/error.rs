//! Why a bundle cannot be written or read, and what the user can do about it.

use std::io;
use std::path::PathBuf;

use machine_host::lock::LockError;

use crate::checksum::Checksum;
use crate::error::ImageError;

/// What went wrong with a bundle.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// The file is there already.
    #[error("`{}` exists already", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be written; nothing is left of it.
    #[error("The bundle `{}` cannot be written", path.display())]
    Write {
        /// The bundle.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It, or the image's disk, cannot be read.
    #[error("`{}` cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The image is not what it was when it was fetched.
    #[error("The image's disk `{}` is damaged: it was {expected} and is {found}", path.display())]
    Damaged {
        /// The disk.
        path: PathBuf,
        /// What was written.
        expected: Checksum,
        /// What is there.
        found: Checksum,
    },
    /// It is no tar, or ends too early.
    #[error("`{}` is no whole bundle of an image: it cannot be read as a tar", path.display())]
    Tar {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
    /// It holds something else than a bundle does.
    #[error("`{}` is no bundle of an image: {what}", path.display())]
    NotABundle {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// What it says of its image makes no sense.
    #[error("`{}` is no bundle of an image: its `machine-image.json` cannot be read", path.display())]
    Metadata {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// It was made by a newer version.
    #[error("The bundle `{}` has format {found}; this version of `machine` reads format {supported}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// What is read.
        supported: u64,
    },
    /// It is not the file that the user wants.
    #[error("The bundle `{}` has another checksum: expected {expected}, found {found}", path.display())]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// What was asked for.
        expected: Checksum,
        /// What it has.
        found: Checksum,
    },
    /// Its disk is another one than it says.
    #[error("The disk in the bundle `{}` is not the one that it tells of: {what}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What differs.
        what: String,
    },
    /// The cache has an image of the same name that was checked, with another disk.
    #[error("The bundle `{}` has another disk than the image {checksum} of the cache", path.display())]
    Conflict {
        /// The file.
        path: PathBuf,
        /// The checksum by which both go.
        checksum: Checksum,
    },
    /// The disk cannot become an image of the cache.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The cache cannot be written.
    #[error("The cache of images cannot be used: `{}`", path.display())]
    Cache {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another command fetches or imports the same.
    #[error("Another command is fetching the same image")]
    Busy,
    /// The lock cannot be had.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The reporter said so; nothing is left.
    #[error("Work on the bundle `{}` was cancelled", path.display())]
    Cancelled {
        /// The file.
        path: PathBuf,
    },
    /// A thread of this program ended without an answer, which is an error of this program.
    #[error("Work on the bundle `{}` ended unexpectedly", path.display())]
    Lost {
        /// The file.
        path: PathBuf,
        /// How the thread ended.
        source: tokio::task::JoinError,
    },
}

impl BundleError {
    /// What the user can do, one sentence each.
    pub fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Exists { .. } => "`--force` replaces it",
            Self::Write { source, .. }
                if matches!(
                    source.kind(),
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
                ) =>
            {
                "free some space there, or name a file elsewhere; nothing is left of this one"
            }
            Self::Damaged { .. } => {
                "`machine image verify --all` tells what can be done about damaged images"
            }
            Self::Tar { .. } | Self::Content { .. } => {
                "copy the file again, and compare its checksum with the one that `machine image export` told"
            }
            Self::NotABundle { .. } | Self::Metadata { .. } => {
                "a bundle is made by `machine image export`; a disk image is used by `machine init --image FILE`"
            }
            Self::Newer { .. } => "install the newer `machine`",
            Self::Mismatch { .. } => "use it only if you know why it is another file",
            Self::Conflict { .. } => {
                "one of the two is wrong: see `machine image verify --all`, and ask who made the bundle"
            }
            Self::Busy => "wait until it has finished",
            Self::Cache { .. } => {
                "free some space there, or keep everything elsewhere by MACHINE_HOME"
            }
            Self::Image(error) => return error.hints(),
            Self::Write { .. }
            | Self::Read { .. }
            | Self::Lock(_)
            | Self::Cancelled { .. }
            | Self::Lost { .. } => return Vec::new(),
        };
        vec![hint.to_owned()]
    }
}
