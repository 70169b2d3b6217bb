//! The mux's state behind its lock, and its end when the driver goes.

use std::sync::{Arc, Mutex, PoisonError};

use crate::mux::Core;

#[derive(Debug)]
pub(super) struct Shared {
    core: Mutex<Core>,
}

impl Shared {
    pub(super) fn new(core: Core) -> Arc<Self> {
        Arc::new(Self {
            core: Mutex::new(core),
        })
    }

    /// One step under the lock; whoever has to go on is woken after it.
    pub(super) fn with<T>(&self, step: impl FnOnce(&mut Core) -> T) -> T {
        let (result, wakes) = {
            let mut core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
            let result = step(&mut core);
            (result, core.take_wakes())
        };
        for waker in wakes {
            waker.wake();
        }
        result
    }
}

/// Ends the link when dropped: no half waits for a driver that is gone.
#[derive(Debug)]
pub(super) struct EndGuard(pub(super) Arc<Shared>);

impl Drop for EndGuard {
    fn drop(&mut self) {
        self.0.with(Core::end);
    }
}
