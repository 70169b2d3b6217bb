//! macOS: no services yet. launchd would be one: an agent of the user (`launchctl bootstrap gui/UID`) with `KeepAlive` for
//! unsuccessful exits and an `ExitTimeOut` as long as an orderly stop takes; it ends agents by SIGTERM, which is that stop.

use std::ffi::OsString;

use crate::service::Services;

/// None.
pub(in crate::service) fn find(
    _environment: &dyn Fn(&str) -> Option<OsString>,
) -> Option<Box<dyn Services>> {
    None
}

/// Nobody waits for it.
pub(in crate::service) fn ready() {}
