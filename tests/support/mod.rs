//! What tests stand on that run the `machine` program as its users do, whatever the hypervisor.

pub(crate) mod api;
pub(crate) mod command;
pub(crate) mod leftovers;
pub(crate) mod place;

use std::time::Duration;

/// How long a command may take that boots nothing.
pub(crate) const SOON: Duration = Duration::from_secs(30);
