//! Ports of the host: who has one, and why one is not to be had.

use std::fmt;
use std::io;
use std::net::IpAddr;

use crate::sys;

/// A transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP, of which listeners count.
    Tcp,
    /// UDP.
    Udp,
}

/// Who has a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A process that we may look at.
    Process {
        /// Its number.
        pid: u32,
        /// The name of its program.
        name: String,
    },
    /// A process of this user that we may not look at.
    User(u32),
}

impl fmt::Display for Holder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process { pid, name } => write!(formatter, "`{name}` (process {pid})"),
            Self::User(0) => write!(formatter, "a process of root"),
            Self::User(user) => write!(formatter, "a process of user {user}"),
        }
    }
}

/// Who listens at this address and port, or at all addresses. `None` where nobody does, and on systems that are not asked
/// (all but Linux so far). It reads a file for each process; call it where that may take a moment.
pub fn holder(transport: Transport, address: IpAddr, port: u16) -> Option<Holder> {
    sys::ports::holder(transport, address, port)
}

/// Why the system denies a port to this user, and what lets it be had, in one line.
pub fn denied(port: u16) -> String {
    sys::ports::denied(port)
}

/// Lets a port be bound again while the system still waits for the last packets of its connections. On Windows it can be,
/// and the option of the name would let two programs have it.
pub fn allow_soon_again(socket: &socket2::Socket) -> io::Result<()> {
    if sys::ports::WAITS_FOR_OLD_CONNECTIONS {
        socket.set_reuse_address(true)?;
    }
    Ok(())
}

/// Whether the error says that the host has no such family of addresses (IPv6 switched off).
pub fn is_family_missing(error: &io::Error) -> bool {
    error.raw_os_error() == Some(sys::ports::NO_SUCH_FAMILY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_it() {
        let process = Holder::Process {
            pid: 7,
            name: "nginx".to_owned(),
        };
        assert_eq!(process.to_string(), "`nginx` (process 7)");
        assert_eq!(Holder::User(0).to_string(), "a process of root");
    }

    #[test]
    fn what_to_do_names_the_port() {
        assert!(denied(80).contains("80"), "{}", denied(80));
    }
}
