//! macOS: a port below 1024 is free for everybody at all addresses, and root's at a single one.

use std::net::IpAddr;

use crate::ports::{Holder, Transport};

/// `EAFNOSUPPORT`.
pub(crate) const NO_SUCH_FAMILY: i32 = libc::EAFNOSUPPORT;

/// Whether connections that are over keep their port from being bound.
pub(crate) const WAITS_FOR_OLD_CONNECTIONS: bool = true;

pub(crate) fn holder(_transport: Transport, _address: IpAddr, _port: u16) -> Option<Holder> {
    None
}

pub(crate) fn denied(port: u16) -> String {
    format!(
        "macOS gives port {port} to everybody without an address only: leave the address out, or take a port above 1023"
    )
}
