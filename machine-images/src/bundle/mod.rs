//! An image of the cache in one file, for hosts that cannot fetch it.
//!
//! ```text
//! FILE                 a plain tar
//!   machine-image.json what is known of the image (`Metadata`), first
//!   disk.zst           its unpacked disk, packed by Zstandard as one frame
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

pub use self::error::BundleError;
pub use self::export::{Exported, export};
pub use self::import::{Imported, import};
use crate::copy::Next;
use crate::progress::Reporter;

/// The entry that says what the image is.
const METADATA: &str = "machine-image.json";
/// The entry with its disk.
const DISK: &str = "disk.zst";

/// Runs `work` on a thread for blocking work, and lets the reporter follow and stop it. `None`: it was stopped.
async fn follow<T: Send + 'static>(
    reporter: &dyn Reporter,
    work: impl FnOnce(&mut dyn FnMut(u64, u64) -> Next) -> T + Send + 'static,
) -> Result<Option<T>, tokio::task::JoinError> {
    // Room for one report: the work waits for the reporter, so that a cancellation is seen in time.
    let (progress, mut reports) = tokio::sync::mpsc::channel(1);
    let thread = tokio::task::spawn_blocking(move || {
        work(
            &mut |done, total| match progress.blocking_send((done, total)) {
                Ok(()) => Next::Continue,
                Err(_) => Next::Cancel,
            },
        )
    });
    let mut cancelled = false;
    while let Some((done, total)) = reports.recv().await {
        reporter.copying(done, total);
        cancelled = reporter.cancelled();
        if cancelled {
            break;
        }
    }
    drop(reports);
    let done = thread.await?;
    Ok((!cancelled).then_some(done))
}

#[cfg(test)]
mod tests;
