//! Windows: no services. Nothing starts a program of a user again: services run without the user's session, and the scheduler
//! of tasks forgets a task that has ended. What tells of the end of the session is `machine_host::termination`.

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
