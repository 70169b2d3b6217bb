//! Windows: there are no signals.

use std::process::ExitStatus;

/// There are no signals.
pub(in crate::provider) fn signal(_status: ExitStatus) -> Option<i32> {
    None
}
