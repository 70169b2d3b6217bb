//! Unix: processes may end by a signal.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// The signal that ended a process.
pub(in crate::provider) fn signal(status: ExitStatus) -> Option<i32> {
    status.signal()
}
