//! How a caller follows and stops the work of this crate.

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinError;

use crate::copy::Next;

/// Told about the progress of [`prepare`](crate::prepare), and asked whether to go on.
pub trait Reporter: Send + Sync {
    /// `done` of `total` bytes of the image are in the new disk; holes count as done.
    fn copying(&self, done: u64, total: u64);

    /// Asked after every chunk; the work ends soon after this says `true`.
    fn cancelled(&self) -> bool {
        false
    }
}

/// Tells how many bytes are done of how many, and asks whether to go on.
pub(crate) type Report<'a> = &'a dyn Fn(u64, u64) -> Next;

/// Runs `work` on a thread for blocking work, and has the reporter follow and stop it.
///
/// The work waits for the answer to each report, so it does nothing more for a reporter that has cancelled. A future that is
/// dropped cancels as well.
pub(crate) async fn follow<T: Send + 'static>(
    reporter: &dyn Reporter,
    work: impl FnOnce(Report<'_>) -> T + Send + 'static,
) -> Result<T, JoinError> {
    let (reports, mut reported) = mpsc::channel(1);
    let thread = tokio::task::spawn_blocking(move || {
        work(&|done, total| {
            let (answer, answered) = oneshot::channel();
            match reports.blocking_send((done, total, answer)) {
                Ok(()) => answered.blocking_recv().unwrap_or(Next::Cancel),
                Err(_) => Next::Cancel,
            }
        })
    });
    while let Some((done, total, answer)) = reported.recv().await {
        reporter.copying(done, total);
        let next = if reporter.cancelled() {
            Next::Cancel
        } else {
            Next::Continue
        };
        // The work waits for it.
        let _ = answer.send(next);
    }
    thread.await
}
