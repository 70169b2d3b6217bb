//! An image of the cache in one file, for hosts that cannot fetch it.
//!
//! ```text
//! FILE                 a plain tar
//!   machine-image.json what is known of the image (`Metadata`), first
//!   disk.zst           its unpacked disk, or the tar archive of its tree, packed by Zstandard as one frame
//! ```
//!
//! The cache does not keep files as they came, so the publisher's signature, which is of that file, cannot be checked
//! again where a bundle is read: the bundle says who had signed it, and that is hearsay. Who wants more compares the
//! bundle's own checksum, which [`export`] tells, on the way in. An image that is known by hearsay alone is used where
//! nobody can be asked, and gives way to the publisher's where that can be fetched.

mod error;
mod export;
mod import;
mod metadata;

use std::path::Path;

pub use self::error::BundleError;
pub use self::export::{Exported, export};
pub use self::import::{Imported, import};
use crate::progress::{self, Report, Reporter};

/// The entry that says what the image is.
const METADATA: &str = "machine-image.json";
/// The entry with its disk.
const DISK: &str = "disk.zst";

/// Runs `work` on the bundle `file`, see [`progress::follow`].
async fn follow<T: Send + 'static>(
    file: &Path,
    reporter: &dyn Reporter,
    work: impl FnOnce(Report<'_>) -> Result<T, BundleError> + Send + 'static,
) -> Result<T, BundleError> {
    let done = progress::follow(reporter, work).await;
    done.map_err(|source| BundleError::Lost {
        path: file.to_owned(),
        source,
    })?
}

#[cfg(test)]
mod tests;
