//! What an image is stored as: a disk, or the tree of a system's files in a tar archive.

use crate::recognise::DiskFormat;

/// What the file of an image is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    /// A disk of this format.
    Disk(DiskFormat),
    /// A tar archive.
    Tree,
}

impl Stored {
    const ALL: [Self; 3] = [
        Self::Disk(DiskFormat::Qcow2),
        Self::Disk(DiskFormat::Raw),
        Self::Tree,
    ];

    /// The name of the file.
    pub(crate) fn file_name(self) -> &'static str {
        match self {
            Self::Disk(DiskFormat::Qcow2) => "disk.qcow2",
            Self::Disk(DiskFormat::Raw) => "disk.raw",
            Self::Tree => "tree.tar",
        }
    }

    /// What a file of this name is.
    pub(crate) fn by_file_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|stored| stored.file_name() == name)
    }
}
