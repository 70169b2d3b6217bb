//! Which ports are open and for whom, and which may be opened. Pure.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use machine_protocol::publish::{MAX_PORTS, Port, Protocol};

use super::{Owner, Scope};

/// What is open.
#[derive(Debug)]
pub(super) struct Table {
    scope: Scope,
    entries: BTreeMap<Key, Entry>,
    /// Boot and number of the newest request.
    newest: Option<(String, u64)>,
}

/// A port of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    protocol: Protocol,
    port: u16,
    address: IpAddr,
}

/// Whose it is and where it leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) owner: Owner,
    pub(super) port: Port,
}

/// Where a port has to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Places {
    pub(super) first: SocketAddr,
    /// Where the host has such an address at all.
    pub(super) second: Option<SocketAddr>,
}

/// What has to be done for a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It is open already.
    Nothing,
    /// Listen here.
    Open(Places),
}

/// Why a port may not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("0 is no port")]
    Zero,
    #[error("address already in use by {0} of this machine")]
    Taken(Owner),
    #[error("{0} is no address that a host listens at")]
    Address(IpAddr),
    #[error("write the address {0} as IPv4")]
    Mapped(IpAddr),
    #[error(
        "this host publishes ports on its loopback alone: `bind` in `[ports]` of config.toml allows others"
    )]
    Loopback,
    #[error("a machine publishes at most {MAX_PORTS} ports")]
    TooMany,
}

impl From<&Port> for Key {
    fn from(port: &Port) -> Self {
        Self {
            protocol: port.protocol,
            port: port.port,
            address: port.address,
        }
    }
}

impl Table {
    pub(super) fn new(scope: Scope) -> Self {
        Self {
            scope,
            entries: BTreeMap::new(),
            newest: None,
        }
    }

    /// Notes a request; `false` for one that is older than another of the same boot.
    pub(super) fn is_news(&mut self, boot: &str, number: u64) -> bool {
        match &mut self.newest {
            Some((same, newest)) if same == boot => {
                let is_news = number >= *newest;
                *newest = number.max(*newest);
                is_news
            }
            newest => {
                *newest = Some((boot.to_owned(), number));
                true
            }
        }
    }

    /// What it takes to open a port.
    pub(super) fn check(&self, port: &Port, owner: Owner) -> Result<Step, Refusal> {
        let wanted = Entry { owner, port: *port };
        if self.entries.get(&Key::from(port)) == Some(&wanted) {
            return Ok(Step::Nothing);
        }
        if port.port == 0 || port.guest_port == 0 {
            return Err(Refusal::Zero);
        }
        let places = match owner {
            Owner::Listener => loopback(port),
            Owner::Container | Owner::Configured => self.places(port)?,
        };
        let mut there = self.entries.values();
        let taken = there.find(|entry| clash(entry, &wanted) && !yields(entry, owner));
        if let Some(taken) = taken {
            return Err(Refusal::Taken(taken.owner));
        }
        if self.entries.len() >= MAX_PORTS {
            return Err(Refusal::TooMany);
        }
        Ok(Step::Open(places))
    }

    /// The servers of the guest that are in the way of a port that somebody else may open.
    pub(super) fn yielding(&self, port: &Port) -> Vec<Port> {
        let wanted = Entry {
            owner: Owner::Container,
            port: *port,
        };
        let there = self.entries.values();
        there
            .filter(|entry| clash(entry, &wanted) && yields(entry, wanted.owner))
            .map(|entry| entry.port)
            .collect()
    }

    fn places(&self, port: &Port) -> Result<Places, Refusal> {
        let at = |address: IpAddr| SocketAddr::new(address, port.port);
        let (all, all6): (IpAddr, IpAddr) = match self.scope {
            Scope::All => (Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()),
            Scope::Loopback => (Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()),
        };
        let place = match port.address {
            IpAddr::V4(address) if address.is_unspecified() => {
                return Ok(Places {
                    first: at(all),
                    second: Some(at(all6)),
                });
            }
            IpAddr::V6(address) if address.is_unspecified() => all6,
            IpAddr::V6(address) if address.to_ipv4_mapped().is_some() => {
                return Err(Refusal::Mapped(address.into()));
            }
            address if address.is_multicast() || is_broadcast(address) => {
                return Err(Refusal::Address(address));
            }
            address if self.scope == Scope::Loopback && !address.is_loopback() => {
                return Err(Refusal::Loopback);
            }
            address => address,
        };
        Ok(Places {
            first: at(place),
            second: None,
        })
    }

    /// Notes what was opened.
    pub(super) fn insert(&mut self, port: Port, owner: Owner) -> Key {
        let key = Key::from(&port);
        self.entries.insert(key, Entry { owner, port });
        key
    }

    /// Takes a port of this owner out, whatever it leads to.
    pub(super) fn remove(&mut self, port: &Port, owner: Owner) -> Option<(Key, Port)> {
        let key = Key::from(port);
        if self.entries.get(&key)?.owner != owner {
            return None;
        }
        self.entries.remove(&key).map(|entry| (key, entry.port))
    }

    /// The owner's ports that are not among these.
    pub(super) fn unwanted(&self, owner: Owner, wanted: &[Port]) -> Vec<Port> {
        let mine = self.entries.values().filter(|entry| entry.owner == owner);
        mine.map(|entry| entry.port)
            .filter(|port| !wanted.contains(port))
            .collect()
    }

    /// Everything, by protocol, number and address.
    pub(super) fn entries(&self) -> Vec<Entry> {
        self.entries.values().copied().collect()
    }
}

fn is_broadcast(address: IpAddr) -> bool {
    address == IpAddr::V4(Ipv4Addr::BROADCAST)
}

/// Whether two ports cannot both be open.
fn clash(one: &Entry, other: &Entry) -> bool {
    let is_same = (one.port.protocol, one.port.port) == (other.port.protocol, other.port.port);
    let mut pairs = addresses(one)
        .into_iter()
        .flat_map(|one| addresses(other).into_iter().map(move |other| (one, other)));
    is_same && pairs.any(|(one, other)| overlap(one, other))
}

/// Whether a port is given up for one of this owner.
fn yields(entry: &Entry, to: Owner) -> bool {
    entry.owner == Owner::Listener && to != Owner::Listener
}

/// Where a port is: a guest's server is at both addresses of the loopback.
fn addresses(entry: &Entry) -> Vec<IpAddr> {
    match entry.owner {
        Owner::Listener => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        Owner::Container | Owner::Configured => vec![entry.port.address],
    }
}

fn loopback(port: &Port) -> Places {
    Places {
        first: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port.port),
        second: Some(SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port.port)),
    }
}

/// Whether two addresses cannot both have the same port: `0.0.0.0` stands for all, `::` for those of IPv6.
fn overlap(one: IpAddr, other: IpAddr) -> bool {
    let all = |address: IpAddr| address.is_ipv4() && address.is_unspecified();
    let all6 = |address: IpAddr| address.is_ipv6() && address.is_unspecified();
    one == other
        || all(one)
        || all(other)
        || (all6(one) && other.is_ipv6())
        || (all6(other) && one.is_ipv6())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn port(address: &str, number: u16) -> Port {
        Port {
            protocol: Protocol::Tcp,
            address: address.parse().unwrap(),
            port: number,
            guest_port: 80,
        }
    }

    fn places(scope: Scope, address: &str) -> Result<Vec<String>, Refusal> {
        match Table::new(scope).check(&port(address, 5), Owner::Container)? {
            Step::Nothing => panic!("nothing is open"),
            Step::Open(places) => Ok([Some(places.first), places.second]
                .into_iter()
                .flatten()
                .map(|place| place.to_string())
                .collect()),
        }
    }

    #[test]
    fn where_a_port_listens() {
        let (all, loopback) = (Scope::All, Scope::Loopback);
        for (scope, address, expected) in [
            (all, "0.0.0.0", vec!["0.0.0.0:5", "[::]:5"]),
            (all, "::", vec!["[::]:5"]),
            (all, "192.168.1.2", vec!["192.168.1.2:5"]),
            (loopback, "0.0.0.0", vec!["127.0.0.1:5", "[::1]:5"]),
            (loopback, "::", vec!["[::1]:5"]),
            (loopback, "127.0.0.2", vec!["127.0.0.2:5"]),
            (loopback, "::1", vec!["[::1]:5"]),
        ] {
            let found = places(scope, address).unwrap();
            assert_eq!(found, expected, "{scope:?} {address}");
        }
        for (scope, address) in [
            (all, "224.0.0.1"),
            (all, "255.255.255.255"),
            (all, "ff02::1"),
            (all, "::ffff:127.0.0.1"),
            (loopback, "192.168.1.2"),
            (loopback, "2001:db8::1"),
        ] {
            assert!(places(scope, address).is_err(), "{scope:?} {address}");
        }
    }

    #[test]
    fn port_0_is_none() {
        let table = Table::new(Scope::All);
        for (number, guest_port) in [(0, 1), (1, 0)] {
            let port = Port {
                guest_port,
                ..port("0.0.0.0", number)
            };
            assert_eq!(table.check(&port, Owner::Container), Err(Refusal::Zero));
        }
    }

    #[test]
    fn what_clashes() {
        for (there, new, clash) in [
            ("0.0.0.0", "127.0.0.1", true),
            ("0.0.0.0", "::1", true),
            ("::1", "0.0.0.0", true),
            ("::", "::1", true),
            ("::1", "::", true),
            ("::", "127.0.0.1", false),
            ("127.0.0.1", "::", false),
            ("127.0.0.1", "127.0.0.2", false),
            ("127.0.0.1", "::1", false),
        ] {
            let mut table = Table::new(Scope::All);
            table.insert(port(there, 5), Owner::Configured);
            let found = table.check(&port(new, 5), Owner::Container);
            let expected = Err(Refusal::Taken(Owner::Configured));
            assert_eq!(found == expected, clash, "{there} {new}: {found:?}");
            let other_number = table.check(&port(new, 6), Owner::Container);
            assert!(matches!(other_number, Ok(Step::Open(_))));
            let udp = Port {
                protocol: Protocol::Udp,
                ..port(new, 5)
            };
            assert!(matches!(
                table.check(&udp, Owner::Container),
                Ok(Step::Open(_))
            ));
        }
    }

    #[test]
    fn twice_is_once_and_what_leads_elsewhere_clashes() {
        let mut table = Table::new(Scope::All);
        let first = port("0.0.0.0", 5);
        table.insert(first, Owner::Container);
        assert_eq!(table.check(&first, Owner::Container), Ok(Step::Nothing));
        let taken = Err(Refusal::Taken(Owner::Container));
        assert_eq!(table.check(&first, Owner::Configured), taken);
        let elsewhere = Port {
            guest_port: 81,
            ..first
        };
        assert_eq!(table.check(&elsewhere, Owner::Container), taken);
    }

    #[test]
    fn there_is_an_end_to_it() {
        let mut table = Table::new(Scope::All);
        for number in 1..=u16::try_from(MAX_PORTS).unwrap() {
            table.insert(port("0.0.0.0", number), Owner::Container);
        }
        let more = table.check(&port("0.0.0.0", 60000), Owner::Container);
        assert_eq!(more, Err(Refusal::TooMany));
    }

    #[test]
    fn a_request_that_comes_late_is_none() {
        let mut table = Table::new(Scope::All);
        assert!(table.is_news("a", 5));
        assert!(table.is_news("a", 5), "sent again");
        assert!(!table.is_news("a", 4));
        assert!(table.is_news("a", 6));
        assert!(!table.is_news("a", 5));
        assert!(table.is_news("b", 1), "another boot counts anew");
        assert!(!table.is_news("b", 0));
    }

    #[test]
    fn each_owner_has_its_own() {
        let mut table = Table::new(Scope::All);
        let (one, two) = (port("0.0.0.0", 1), port("0.0.0.0", 2));
        table.insert(one, Owner::Container);
        table.insert(two, Owner::Configured);
        assert_eq!(table.unwanted(Owner::Container, &[]), [one]);
        assert_eq!(table.unwanted(Owner::Container, &[one]), []);
        assert_eq!(table.unwanted(Owner::Configured, &[one]), [two]);
        assert_eq!(table.remove(&two, Owner::Container), None);
        assert_eq!(table.remove(&two, Owner::Configured).unwrap().1, two);
        assert_eq!(table.entries().len(), 1);
    }

    fn listener(number: u16) -> Port {
        Port {
            guest_port: number,
            ..port("127.0.0.1", number)
        }
    }

    #[test]
    fn a_guests_server_is_at_the_loopback_whatever_is_allowed() {
        for scope in [Scope::All, Scope::Loopback] {
            let step = Table::new(scope).check(&listener(5), Owner::Listener);
            let Ok(Step::Open(places)) = step else {
                panic!("{step:?}");
            };
            assert_eq!(places.first.to_string(), "127.0.0.1:5");
            assert_eq!(places.second.unwrap().to_string(), "[::1]:5");
        }
    }

    #[test]
    fn a_guests_server_yields_and_takes_nothing() {
        for (address, in_the_way) in [
            ("0.0.0.0", true),
            ("::", true),
            ("127.0.0.1", true),
            ("::1", true),
            ("127.0.0.2", false),
            ("10.1.1.1", false),
        ] {
            for owner in [Owner::Container, Owner::Configured] {
                let mut table = Table::new(Scope::All);
                table.insert(listener(5), Owner::Listener);
                table.insert(listener(6), Owner::Listener);
                let other = port(address, 5);
                let step = table.check(&other, owner);
                assert!(matches!(step, Ok(Step::Open(_))), "{address}: {step:?}");
                let yielding = table.yielding(&other);
                assert_eq!(!yielding.is_empty(), in_the_way, "{address}");
                assert!(yielding.iter().all(|port| *port == listener(5)));

                let mut table = Table::new(Scope::All);
                table.insert(other, owner);
                let step = table.check(&listener(5), Owner::Listener);
                let taken = Err(Refusal::Taken(owner));
                assert_eq!(step == taken, in_the_way, "{address}: {step:?}");
                assert_eq!(table.yielding(&other), [], "those of others do not");
            }
        }
        let mut table = Table::new(Scope::All);
        table.insert(listener(5), Owner::Listener);
        let udp = Port {
            protocol: Protocol::Udp,
            ..listener(5)
        };
        assert_eq!(table.yielding(&udp), []);
        let again = table.check(&listener(5), Owner::Listener);
        assert_eq!(again, Ok(Step::Nothing));
    }

    proptest! {
        /// Whatever a guest asks for: what is open never clashes, and never leaves the loopback where it must not.
        #[test]
        fn laws_of_what_is_open(
            asked in prop::collection::vec(
                (0_u16..4, prop_oneof![
                    Just("0.0.0.0"), Just("::"), Just("127.0.0.1"), Just("::1"), Just("10.1.1.1"),
                    Just("224.0.0.1"), Just("::ffff:10.1.1.1"), Just("2001:db8::1")
                ], any::<bool>()),
                0..40,
            ),
            scope in prop_oneof![Just(Scope::All), Just(Scope::Loopback)],
        ) {
            let mut table = Table::new(scope);
            let mut open: Vec<SocketAddr> = Vec::new();
            for (number, address, close) in asked {
                let port = port(address, number);
                if close {
                    if table.remove(&port, Owner::Container).is_some() {
                        let Ok(Places { first, second }) = table.places(&port) else {
                            return Err(TestCaseError::fail("it was open"));
                        };
                        open.retain(|place| *place != first && Some(*place) != second);
                    }
                    continue;
                }
                if let Ok(Step::Open(Places { first, second })) = table.check(&port, Owner::Container) {
                    for place in [Some(first), second].into_iter().flatten() {
                        prop_assert!(!open.contains(&place));
                        prop_assert!(place.port() != 0);
                        prop_assert!(scope == Scope::All || place.ip().is_loopback());
                        open.push(place);
                    }
                    table.insert(port, Owner::Container);
                }
            }
        }
    }
}
