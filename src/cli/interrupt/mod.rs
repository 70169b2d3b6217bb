//! The user's wish to stop: Ctrl-C, or a request to end.
//!
//! A command that changes something is never torn down in the middle: the wish sets a flag that long work looks at, and
//! the command undoes what it has begun.

#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod system;

use std::future::Future;
use std::sync::Arc;

use tokio::sync::watch;

pub use system::requested;

/// A flag that is set once and stays so.
#[derive(Debug, Clone)]
pub struct Interrupt(Arc<watch::Sender<bool>>);

impl Default for Interrupt {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }
}

impl Interrupt {
    /// Has the user asked to stop?
    pub fn is_set(&self) -> bool {
        *self.0.borrow()
    }

    /// Asks to stop.
    pub fn set(&self) {
        self.0.send_replace(true);
    }

    /// Ends when the user has asked to stop.
    pub async fn wait(&self) {
        let mut flag = self.0.subscribe();
        // The sender is here, so there is an answer.
        if flag.wait_for(|set| *set).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Runs `work` to its end; meanwhile the user's wish sets the flag instead of ending the process.
    pub async fn guard<F: Future>(&self, work: F) -> F::Output {
        let mut work = std::pin::pin!(work);
        tokio::select! {
            biased;
            output = &mut work => return output,
            () = system::requested() => self.set(),
        }
        work.await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finished_work_is_not_interrupted() {
        let interrupt = Interrupt::default();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        assert_eq!(runtime.block_on(interrupt.guard(async { 7 })), 7);
        assert!(!interrupt.is_set());
        interrupt.clone().set();
        assert!(interrupt.is_set());
        runtime.block_on(interrupt.wait());
    }
}
