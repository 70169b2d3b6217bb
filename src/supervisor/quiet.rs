//! The watch over a start: has the guest shown a sign of life in time?

use std::path::Path;

use tokio::time::Instant;

use super::evidence;
use crate::machine::deadlines::{self, Deadline};
use crate::provider::{Progress, Vm};

/// What was seen of the guest when it was last looked at; only looked at when its time is up.
pub(super) struct QuietWatch {
    until: Instant,
    deadline: Deadline,
    seen: (Progress, u64),
}

impl QuietWatch {
    /// A watch that begins now. Until the accelerator is known, a start must be assumed to be slow.
    pub(super) fn new() -> Self {
        let deadline = deadlines::QUIET_EMULATED;
        Self {
            until: Instant::now() + deadline.limit,
            deadline,
            seen: (Progress::default(), 0),
        }
    }

    /// From now on silence may last as long as suits the accelerator.
    pub(super) fn adjust(&mut self, emulated: bool) {
        self.deadline = if emulated {
            deadlines::QUIET_EMULATED
        } else {
            deadlines::QUIET_ACCELERATED
        };
        self.heard();
    }

    /// Something was heard.
    pub(super) fn heard(&mut self) {
        self.until = Instant::now() + self.deadline.limit;
    }

    /// When the guest is to be looked at.
    pub(super) fn until(&self) -> Instant {
        self.until
    }

    /// The time is up: true when the guest has really been silent.
    pub(super) async fn is_silent(&mut self, vm: Option<&dyn Vm>, console: &Path) -> bool {
        let progress = match vm {
            // A monitor that does not answer shows no progress.
            Some(vm) => vm.progress().await.unwrap_or_default(),
            None => Progress::default(),
        };
        let seen = (progress, evidence::length(console));
        if std::mem::replace(&mut self.seen, seen) == seen {
            return true;
        }
        self.heard();
        false
    }
}
