//! What is said about published ports: which host port leads to which port of the guest.
//!
//! The guest knows what is published, since its engines do, and the host opens ports. A [`crate::message::Target::Publish`]
//! stream carries one [`PublishRequest`] line from the guest and one [`PublishReply`] line back. [`datagram`] is how
//! datagrams of one client travel on a stream.
//!
//! The guest sends one request after the other, over whichever link stands, and sends one again over another link when no
//! reply came. So each says which boot and which number it is of: a host takes no request that is older than one it has
//! taken, and taking one twice is the same as taking it once.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

pub mod datagram;

/// The longest request or reply, without its newline: [`MAX_PORTS`] ports of at most 128 bytes.
pub const MAX_LINE: usize = 512 * 1024;
/// How many ports a machine may publish.
pub const MAX_PORTS: usize = 4096;
/// How many servers of the guest are told of, of each transport protocol.
pub const MAX_LISTENERS: usize = 256;

/// The transport protocol of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// Its word: `tcp` or `udp`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.word())
    }
}

/// A port of the host that leads to one of the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Port {
    /// The protocol.
    pub protocol: Protocol,
    /// The host's address; `0.0.0.0` is all addresses, IPv6 included.
    pub address: IpAddr,
    /// The host's port.
    pub port: u16,
    /// The port on the guest's loopback.
    pub guest_port: u16,
}

/// As Go writes it, without the address where that is all: `tcp :80`, `udp [::1]:53`.
impl fmt::Display for Port {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            protocol,
            address,
            port,
            ..
        } = self;
        match address {
            IpAddr::V4(all) if all.is_unspecified() => write!(formatter, "{protocol} :{port}"),
            IpAddr::V4(address) => write!(formatter, "{protocol} {address}:{port}"),
            IpAddr::V6(address) => write!(formatter, "{protocol} [{address}]:{port}"),
        }
    }
}

/// A request of the guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishRequest {
    /// The kernel's id of the guest's boot: with another one the numbers begin anew.
    pub boot: String,
    /// Counts the requests of that boot; a request that is sent again keeps its number.
    pub number: u64,
    /// What is wanted.
    pub wanted: Wanted,
}

/// What the guest wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wanted {
    /// Open a port. Done when the host's port listens.
    Expose(Port),
    /// Close a port. Done also when it is not open.
    Unexpose(Port),
    /// These and no others are published: sent when a session begins, and after a reply that did not come.
    Sync(Vec<Port>),
    /// These TCP ports of the guest's loopback have servers of its own, and no others: at most [`MAX_LISTENERS`]. Sent
    /// to hosts that asked by [`crate::message::AgentRequest::WatchListeners`]. Which port of the host leads to one is
    /// the host's affair. Answered by [`PublishReply::Synced`].
    Listeners(Vec<u16>),
    /// The same of UDP ports.
    UdpListeners(Vec<u16>),
}

/// The host's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PublishReply {
    /// It is as it is wanted.
    Done,
    /// It is not, and nothing has changed.
    Failed {
        /// Why, in one line without double quotes.
        reason: String,
    },
    /// All ports of a [`Wanted::Sync`], a [`Wanted::Listeners`] or a [`Wanted::UdpListeners`] are open but these.
    Synced {
        /// How many could not be opened; the host has told its user which and why.
        missing: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message;

    fn port(address: &str, port: u16) -> Port {
        Port {
            protocol: Protocol::Tcp,
            address: address.parse().unwrap(),
            port,
            guest_port: 80,
        }
    }

    fn line(message: &impl Serialize) -> String {
        String::from_utf8(message::to_line(message).unwrap()).unwrap()
    }

    /// The vectors of docs/protocol.md.
    #[test]
    fn requests_and_replies_keep_their_form() {
        let request = |wanted| PublishRequest {
            boot: "b".to_owned(),
            number: 7,
            wanted,
        };
        let udp = Port {
            protocol: Protocol::Udp,
            ..port("::1", 53)
        };
        for (message, text) in [
            (
                request(Wanted::Expose(port("0.0.0.0", 8080))),
                r#"{"boot":"b","number":7,"wanted":{"expose":{"protocol":"tcp","address":"0.0.0.0","port":8080,"guest_port":80}}}"#,
            ),
            (
                request(Wanted::Unexpose(udp)),
                r#"{"boot":"b","number":7,"wanted":{"unexpose":{"protocol":"udp","address":"::1","port":53,"guest_port":80}}}"#,
            ),
            (
                request(Wanted::Sync(Vec::new())),
                r#"{"boot":"b","number":7,"wanted":{"sync":[]}}"#,
            ),
            (
                request(Wanted::Listeners(vec![80, 65535])),
                r#"{"boot":"b","number":7,"wanted":{"listeners":[80,65535]}}"#,
            ),
            (
                request(Wanted::UdpListeners(vec![53])),
                r#"{"boot":"b","number":7,"wanted":{"udp-listeners":[53]}}"#,
            ),
        ] {
            assert_eq!(line(&message), format!("{text}\n"));
            let read: PublishRequest = serde_json::from_str(text).unwrap();
            assert_eq!(read, message);
        }
        for (message, text) in [
            (PublishReply::Done, r#""done""#),
            (
                PublishReply::Failed {
                    reason: "no".to_owned(),
                },
                r#"{"failed":{"reason":"no"}}"#,
            ),
            (
                PublishReply::Synced { missing: 1 },
                r#"{"synced":{"missing":1}}"#,
            ),
        ] {
            assert_eq!(line(&message), format!("{text}\n"));
            assert_eq!(serde_json::from_str::<PublishReply>(text).unwrap(), message);
        }
    }

    #[test]
    fn as_many_ports_as_there_may_be_fit_a_line() {
        let longest = Port {
            guest_port: 65535,
            ..port("2001:db8:1111:2222:3333:4444:5555:6666", 65535)
        };
        let request = PublishRequest {
            boot: "5a7d7b3c-4a0d-4a2b-9c1c-2f0f3b1f6c11".to_owned(),
            number: u64::MAX,
            wanted: Wanted::Sync(vec![longest; MAX_PORTS]),
        };
        assert!(serde_json::to_vec(&request).unwrap().len() <= MAX_LINE);
    }

    #[test]
    fn ports_are_written_as_go_does() {
        assert_eq!(port("0.0.0.0", 80).to_string(), "tcp :80");
        assert_eq!(port("127.0.0.1", 80).to_string(), "tcp 127.0.0.1:80");
        assert_eq!(port("::", 80).to_string(), "tcp [::]:80");
    }
}
