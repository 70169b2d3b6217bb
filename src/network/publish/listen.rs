//! Listening at the places of a port.
//!
//! IPv4 and IPv6 each have a listener of their own: one for both is not what every host gives, and it would take the IPv4
//! address in silence where another program listens there already.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use machine_protocol::publish::Protocol;
use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, UdpSocket};

use super::table::Places;

/// Clients that wait to be accepted; the host's own limit may be lower.
const BACKLOG: i32 = 1024;

/// A place where nobody could listen.
#[derive(Debug)]
pub(super) struct Unavailable {
    pub(super) place: SocketAddr,
    pub(super) error: io::Error,
}

/// Listens at all places, or at none.
pub(super) fn tcp(places: &Places) -> Result<Vec<TcpListener>, Unavailable> {
    at_all(places, |place| {
        let socket = bound(place, Protocol::Tcp)?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    })
}

/// Takes datagrams at all places, or at none.
pub(super) fn udp(places: &Places) -> Result<Vec<UdpSocket>, Unavailable> {
    at_all(places, |place| {
        let socket = bound(place, Protocol::Udp)?;
        UdpSocket::from_std(socket.into())
    })
}

fn at_all<T>(
    places: &Places,
    open: impl Fn(SocketAddr) -> io::Result<T>,
) -> Result<Vec<T>, Unavailable> {
    let unavailable = |place| move |error| Unavailable { place, error };
    let mut opened = vec![open(places.first).map_err(unavailable(places.first))?];
    if let Some(second) = places.second {
        match open(second) {
            Ok(listener) => opened.push(listener),
            Err(error) if is_absent(&error) => {
                tracing::debug!(%error, %second, "The host has no such addresses");
            }
            Err(error) => return Err(unavailable(second)(error)),
        }
    }
    Ok(opened)
}

fn bound(place: SocketAddr, protocol: Protocol) -> io::Result<Socket> {
    let (kind, number) = match protocol {
        Protocol::Tcp => (Type::STREAM, socket2::Protocol::TCP),
        Protocol::Udp => (Type::DGRAM, socket2::Protocol::UDP),
    };
    let socket = Socket::new(Domain::for_address(place), kind, Some(number))?;
    if place.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if protocol == Protocol::Tcp {
        machine_host::ports::allow_soon_again(&socket)?;
    }
    socket.bind(&place.into())?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Whether the host lacks the family or the address, rather than having it in use.
fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::AddrNotAvailable | ErrorKind::Unsupported
    ) || machine_host::ports::is_family_missing(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(first: &str, second: Option<&str>) -> Places {
        Places {
            first: first.parse().unwrap(),
            second: second.map(|text| text.parse().unwrap()),
        }
    }

    #[tokio::test]
    async fn at_both_or_at_none() {
        let both = tcp(&places("127.0.0.1:0", Some("[::1]:0"))).unwrap();
        assert!((1..=2).contains(&both.len()), "IPv6 may be missing");
        // An address that no host has is not missed.
        let one = tcp(&places("127.0.0.1:0", Some("[2001:db8::1]:0"))).unwrap();
        assert_eq!(one.len(), 1);

        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap();
        let again = places(&address.to_string(), None);
        let unavailable = tcp(&again).unwrap_err();
        assert_eq!(unavailable.place, address);
        assert_eq!(unavailable.error.kind(), ErrorKind::AddrInUse);
        let free = {
            let probe = TcpListener::bind("127.0.0.1:0").await.unwrap();
            probe.local_addr().unwrap()
        };
        let half = places(&free.to_string(), Some(&address.to_string()));
        assert_eq!(tcp(&half).unwrap_err().place, address);
        assert_eq!(
            tcp(&places(&free.to_string(), None)).unwrap().len(),
            1,
            "nothing stays open"
        );
    }
}
