//! Which change of a file fails, and how.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use fuser::Errno;

/// What is answered.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// The disk failed once: this change alone.
    Broken,
    /// The disk is full from this change on. What frees or moves something still works.
    Full,
    /// The disk has failed: this change and all after it.
    Gone,
}

impl Kind {
    fn errno(self) -> Errno {
        match self {
            Self::Broken | Self::Gone => Errno::EIO,
            Self::Full => Errno::ENOSPC,
        }
    }

    /// What the system says of it.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Broken | Self::Gone => "Input/output error",
            Self::Full => "No space left on device",
        }
    }
}

/// A change of the file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Change {
    Create,
    Write,
    Sync,
    Attributes,
    Rename,
    Link,
    Unlink,
}

/// The change that failed first.
#[derive(Clone, Debug)]
pub(crate) struct Met {
    pub(crate) change: Change,
    /// Below the mount.
    pub(crate) path: PathBuf,
}

#[derive(Debug, Default)]
struct State {
    armed: Option<(Kind, usize)>,
    seen: usize,
    met: Option<Met>,
}

/// The faults of one file system. None is met until it is armed.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<State>);

impl Faults {
    /// The change with this number from now on, counted from 0, is the first to fail.
    pub(crate) fn arm(&self, kind: Kind, at: usize) {
        *self.state() = State {
            armed: Some((kind, at)),
            ..State::default()
        };
    }

    /// Nothing fails any more. Says what failed first since it was armed.
    pub(crate) fn disarm(&self) -> Option<Met> {
        std::mem::take(&mut *self.state()).met
    }

    /// Counts a change, and fails it where that is its turn.
    pub(crate) fn meet(&self, change: Change, path: &Path) -> Result<(), Errno> {
        let mut state = self.state();
        let Some((kind, at)) = state.armed else {
            return Ok(());
        };
        let number = state.seen;
        // A full disk refuses nothing that needs no room.
        let needs_room = matches!(
            change,
            Change::Create | Change::Write | Change::Sync | Change::Link
        );
        let concerned = !matches!(kind, Kind::Full) || needs_room;
        if concerned {
            state.seen += 1;
        }
        let fails = match kind {
            Kind::Broken => number == at,
            Kind::Full => concerned && number >= at,
            Kind::Gone => number >= at,
        };
        if !fails {
            return Ok(());
        }
        state.met.get_or_insert_with(|| Met {
            change,
            path: path.to_owned(),
        });
        Err(kind.errno())
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
