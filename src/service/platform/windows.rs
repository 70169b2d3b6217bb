//! Windows: no services yet. Nothing starts a program of a user again; the end of the session would be heard by a hidden
//! window (`WM_QUERYENDSESSION`, `ShutdownBlockReasonCreate`) and answered by an orderly stop.

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
