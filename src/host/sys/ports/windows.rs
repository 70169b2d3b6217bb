//! Windows: no port is root's, but ranges are set aside by Hyper-V and others.

use std::net::IpAddr;

use crate::ports::{Holder, Transport};

/// `WSAEAFNOSUPPORT`.
pub(crate) const NO_SUCH_FAMILY: i32 = 10047;

/// Whether connections that are over keep their port from being bound.
pub(crate) const WAITS_FOR_OLD_CONNECTIONS: bool = false;

pub(crate) fn holder(_transport: Transport, _address: IpAddr, _port: u16) -> Option<Holder> {
    None
}

pub(crate) fn denied(port: u16) -> String {
    format!(
        "Windows has set port {port} aside, or another program has it for itself: `netsh interface ipv4 show excludedportrange protocol=tcp` lists such ranges; take another port"
    )
}
