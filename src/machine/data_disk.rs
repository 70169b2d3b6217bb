//! The disk of its own for what a machine's engines keep, so that the disk with the operating system can be thrown away.

use std::path::PathBuf;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The word for a disk in the machine's own directory.
const OWN: &str = "own";
/// The least size of a file that is taken as a data disk, in bytes: the least size of a disk.
pub const LEAST_DATA_DISK_BYTES: u64 = super::resources::LEAST_DISK_GIB << 30;

/// Where the disk is: `"own"`, or a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataDisk {
    /// In the machine's directory; it is removed with the machine.
    Own,
    /// A file of the user's, which is used where it lies and never removed.
    At(PathBuf),
}

impl Serialize for DataDisk {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Own => serializer.serialize_str(OWN),
            Self::At(path) => path.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for DataDisk {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.as_str() {
            OWN => Ok(Self::Own),
            "" => Err(D::Error::custom("a data disk is `own` or a path")),
            _ => Ok(Self::At(text.into())),
        }
    }
}
