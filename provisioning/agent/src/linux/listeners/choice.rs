//! Which of the guest's servers the host is told of. Pure.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use machine_protocol::publish::{MAX_LISTENERS, Protocol};

use super::wire::Socket;

/// The loopback has this number in every network namespace (`LOOPBACK_IFINDEX` of the kernel).
const LOOPBACK: u32 = 1;
/// Link-local name resolution (RFC 4795), which systemd-resolved serves on all addresses: the guest's own affair.
const LLMNR: u16 = 5355;
/// What the guest's own network speaks by datagrams: DHCP (RFC 2131, RFC 8415), multicast DNS (RFC 6762), LLMNR.
const OWN_DATAGRAMS: [u16; 4] = [68, 546, 5353, LLMNR];

/// Ports that are not told of.
#[derive(Debug)]
pub(super) struct Own {
    /// Of the SSH server.
    pub(super) ssh: u16,
    /// Of the agent.
    pub(super) agent: RangeInclusive<u16>,
    /// From which the kernel gives clients theirs.
    pub(super) clients: RangeInclusive<u16>,
    /// That containers publish, of the same protocol.
    pub(super) published: BTreeSet<u16>,
}

impl Own {
    fn has(&self, protocol: Protocol, port: u16) -> bool {
        let special = match protocol {
            Protocol::Tcp => port == self.ssh || port == LLMNR || self.agent.contains(&port),
            // A socket that waits for an answer looks as a server does.
            Protocol::Udp => OWN_DATAGRAMS.contains(&port) || self.clients.contains(&port),
        };
        special || self.published.contains(&port)
    }
}

/// The ports that are told of, by number; no more than may be. A server counts where the guest's loopback leads to it:
/// at `127.0.0.1`, `::1` and all addresses, but not at `127.0.0.53`, where a resolver may be. Datagrams come over IPv4.
pub(super) fn told(protocol: Protocol, listening: &[Socket], own: &Own) -> Vec<u16> {
    let reached = listening
        .iter()
        .filter(|socket| is_reached(protocol, socket));
    let ports: BTreeSet<u16> = reached.map(|socket| socket.address.port()).collect();
    let told = ports.into_iter().filter(|port| !own.has(protocol, *port));
    told.take(MAX_LISTENERS).collect()
}

fn is_reached(protocol: Protocol, socket: &Socket) -> bool {
    let address = socket.address.ip().to_canonical();
    let by_loopback = address.is_unspecified()
        || address == IpAddr::V4(Ipv4Addr::LOCALHOST)
        || protocol == Protocol::Tcp && address == IpAddr::V6(Ipv6Addr::LOCALHOST);
    by_loopback && [0, LOOPBACK].contains(&socket.interface)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Own {
        Own {
            ssh: 22,
            agent: 64300..=64399,
            clients: 32768..=60999,
            published: BTreeSet::from([8080]),
        }
    }

    fn socket(address: &str) -> Socket {
        Socket {
            address: address.parse().unwrap(),
            interface: 0,
            listens: true,
        }
    }

    fn choose(addresses: &[&str]) -> Vec<u16> {
        choose_of(Protocol::Tcp, addresses)
    }

    fn choose_of(protocol: Protocol, addresses: &[&str]) -> Vec<u16> {
        let listening: Vec<Socket> = addresses.iter().map(|text| socket(text)).collect();
        told(protocol, &listening, &own())
    }

    #[test]
    fn of_datagrams() {
        let there = [
            "0.0.0.0:9",
            "127.0.0.1:53",
            "[::]:7",
            "[::ffff:127.0.0.1]:22",
            "0.0.0.0:32767",
            "0.0.0.0:61000",
            "0.0.0.0:64300",
        ];
        let expected = [7, 9, 22, 53, 32767, 61000, 64300];
        assert_eq!(choose_of(Protocol::Udp, &there), expected);
        let elsewhere = [
            "[::1]:9",
            "127.0.0.53:53",
            "10.0.2.15:68",
            "0.0.0.0:68",
            "[::]:546",
            "0.0.0.0:5353",
            "[::]:5355",
            "0.0.0.0:32768",
            "0.0.0.0:60999",
            "0.0.0.0:8080",
        ];
        assert_eq!(choose_of(Protocol::Udp, &elsewhere), [] as [u16; 0]);
    }

    #[test]
    fn where_the_loopback_leads() {
        let there = [
            "0.0.0.0:9",
            "127.0.0.1:8",
            "[::]:7",
            "[::1]:6",
            "[::ffff:127.0.0.1]:5",
            "[::]:9",
        ];
        assert_eq!(choose(&there), [5, 6, 7, 8, 9]);
        let elsewhere = [
            "127.0.0.53:53",
            "10.0.2.15:9",
            "[fe80::1]:9",
            "192.0.2.1:80",
            "[::ffff:10.0.2.15]:9",
        ];
        assert_eq!(choose(&elsewhere), [] as [u16; 0]);
        for (interface, expected) in [(0, &[9][..]), (1, &[9]), (2, &[])] {
            let socket = Socket {
                interface,
                ..socket("0.0.0.0:9")
            };
            assert_eq!(
                told(Protocol::Tcp, &[socket], &own()),
                expected,
                "{interface}"
            );
        }
    }

    #[test]
    fn what_the_guest_keeps_to_itself() {
        let all: Vec<String> = [22, 5355, 8080, 64299, 64300, 64399, 64400, 80]
            .iter()
            .map(|port| format!("0.0.0.0:{port}"))
            .collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        assert_eq!(choose(&all), [80, 64299, 64400]);
    }

    #[test]
    fn there_is_an_end_to_it() {
        let many: Vec<Socket> = (1000..2000)
            .rev()
            .map(|port| socket(&format!("0.0.0.0:{port}")))
            .collect();
        let told = told(Protocol::Tcp, &many, &own());
        assert_eq!(told, (1000..1256).collect::<Vec<u16>>());
    }
}
