//! The kernel's messages about sockets, from bytes and to bytes (`sock_diag(7)`, `linux/inet_diag.h`). Pure.

use std::net::SocketAddr;

use machine_protocol::publish::Protocol;
use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NLMSG_ALIGNTO, NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer,
    NetlinkHeader, NetlinkMessage, Parseable,
};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{
    AF_INET, AF_INET6, IPPROTO_TCP, IPPROTO_UDP, SOCK_DIAG_BY_FAMILY, TCP_LISTEN,
};
use netlink_packet_sock_diag::inet::{
    ExtensionFlags, InetRequest, InetResponseHeader, SocketId, StateFlags,
};

/// The families of internet addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

/// A socket without a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Socket {
    /// Where it is bound.
    pub(super) address: SocketAddr,
    /// The number of the one network interface that it serves; 0 is all.
    pub(super) interface: u32,
    /// Whether it listens, as a TCP socket may.
    pub(super) listens: bool,
}

/// What one read of a netlink socket gave.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Batch {
    /// Sockets without a peer that it tells of.
    pub(super) sockets: Vec<Socket>,
    /// The list that was asked for ends with it.
    pub(super) done: bool,
}

/// Bytes that are none of the kernel's.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    #[error("a message about sockets is not as it should be: {0}")]
    Form(#[from] netlink_packet_core::DecodeError),
    #[error("the kernel does not list its sockets: {0}")]
    Refused(std::io::Error),
}

/// Asks for all TCP sockets of a family that listen, or all UDP sockets that have no peer.
pub(super) fn request(family: Family, protocol: Protocol) -> Vec<u8> {
    let (family, socket_id) = match family {
        Family::V4 => (AF_INET, SocketId::new_v4()),
        Family::V6 => (AF_INET6, SocketId::new_v6()),
    };
    let (protocol, states) = match protocol {
        Protocol::Tcp => (IPPROTO_TCP, StateFlags::LISTEN),
        Protocol::Udp => (IPPROTO_UDP, StateFlags::CLOSE),
    };
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let request = SockDiagMessage::InetRequest(InetRequest {
        family,
        protocol,
        extensions: ExtensionFlags::empty(),
        states,
        socket_id,
    });
    let mut message = NetlinkMessage::new(header, request.into());
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

/// Reads the messages of one read. What is about other things is passed over, as are the attributes that follow a
/// socket's description: kernels add to both.
pub(super) fn read(mut bytes: &[u8]) -> Result<Batch, WireError> {
    let mut batch = Batch::default();
    while !bytes.is_empty() {
        let message = NetlinkBuffer::new_checked(bytes)?;
        match message.message_type() {
            NLMSG_ERROR => return Err(refused(message.payload())),
            // A list that broke off says so here.
            NLMSG_DONE if code(message.payload()) < 0 => {
                return Err(refused(message.payload()));
            }
            NLMSG_DONE => {
                batch.done = true;
                break;
            }
            SOCK_DIAG_BY_FAMILY => batch.sockets.extend(socket(message.payload())?),
            _ => {}
        }
        // No shorter than its header, or it would not have been taken.
        let length = message.length() as usize;
        let aligned = length.next_multiple_of(usize::from(NLMSG_ALIGNTO));
        bytes = bytes.get(aligned..).unwrap_or_default();
    }
    Ok(batch)
}

/// The number with which a message of an end begins: 0, or a negative error.
fn code(payload: &[u8]) -> i32 {
    payload
        .first_chunk()
        .map_or(0, |bytes| i32::from_ne_bytes(*bytes))
}

fn refused(payload: &[u8]) -> WireError {
    WireError::Refused(std::io::Error::from_raw_os_error(
        code(payload).saturating_neg(),
    ))
}

fn socket(payload: &[u8]) -> Result<Option<Socket>, WireError> {
    let is_internet = matches!(payload.first(), Some(&(AF_INET | AF_INET6)));
    if !is_internet {
        return Ok(None);
    }
    let told = InetResponseHeader::parse(payload)?;
    let id = told.socket_id;
    // A connection that a server took has the server's port.
    let is_bound_alone = id.source_port != 0 && id.destination_port == 0;
    Ok(is_bound_alone.then(|| Socket {
        address: SocketAddr::new(id.source_address, id.source_port),
        interface: id.interface_id,
        listens: told.state == TCP_LISTEN,
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `struct nlmsghdr` of `linux/netlink.h`: length, type, flags, sequence, port; then the payload, aligned to four.
    fn message(kind: u16, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(16 + payload.len()).unwrap();
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend(payload);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    /// `struct inet_diag_msg` of `linux/inet_diag.h`: family, state, timer, retransmits, `inet_diag_sockid`, five numbers.
    fn told(address: &str, state: u8, peer: u16, interface: u32) -> Vec<u8> {
        let address: SocketAddr = address.parse().unwrap();
        let (family, mut place) = match address.ip() {
            std::net::IpAddr::V4(address) => (2, address.octets().to_vec()),
            std::net::IpAddr::V6(address) => (10, address.octets().to_vec()),
        };
        place.resize(16, 0);
        let mut bytes = vec![family, state, 0, 0];
        bytes.extend(address.port().to_be_bytes());
        bytes.extend(peer.to_be_bytes());
        bytes.extend(place);
        bytes.extend([0; 16]);
        bytes.extend(interface.to_ne_bytes());
        bytes.extend([7; 8]);
        bytes.extend([0; 20]);
        assert_eq!(bytes.len(), 72);
        bytes
    }

    fn found(address: &str, interface: u32, listens: bool) -> Socket {
        Socket {
            address: address.parse().unwrap(),
            interface,
            listens,
        }
    }

    #[test]
    fn a_list_with_what_is_none_of_ours() {
        let mut extended = told("127.0.0.1:80", 10, 0, 0);
        // An attribute of a kernel of the future.
        extended.extend([5, 0, 99, 0, 1, 0, 0, 0]);
        let mut bytes = message(20, &extended);
        bytes.extend(message(20, &told("[::]:8080", 10, 0, 3)));
        bytes.extend(message(20, &told("127.0.0.1:80", 1, 4000, 0)));
        bytes.extend(message(20, &told("0.0.0.0:81", 7, 0, 0)));
        bytes.extend(message(20, &told("0.0.0.0:0", 7, 0, 0)));
        bytes.extend(message(20, &[1, 2, 3]));
        bytes.extend(message(99, &[1]));
        let mut expected = Batch {
            sockets: vec![
                found("127.0.0.1:80", 0, true),
                found("[::]:8080", 3, true),
                found("0.0.0.0:81", 0, false),
            ],
            done: false,
        };
        assert_eq!(read(&bytes).unwrap(), expected);
        bytes.extend(message(3, &0_i32.to_ne_bytes()));
        bytes.extend(message(20, &told("0.0.0.0:1", 10, 0, 0)));
        expected.done = true;
        assert_eq!(read(&bytes).unwrap(), expected, "and nothing after the end");
    }

    #[test]
    fn refusals_and_damage() {
        for kind in [2, 3] {
            let refused = read(&message(kind, &(-2_i32).to_ne_bytes())).unwrap_err();
            let text = refused.to_string();
            assert!(text.contains("No such file"), "{kind}: {text}");
        }
        assert!(read(&message(20, &told("0.0.0.0:1", 10, 0, 0)[..71])).is_err());
        let mut long = message(20, &told("0.0.0.0:1", 10, 0, 0));
        long[0] += 1;
        assert!(read(&long).is_err());
        assert!(
            read(&[0; 16]).is_err(),
            "no message is shorter than its head"
        );
        assert_eq!(read(&[]).unwrap(), Batch::default());
    }

    /// `struct inet_diag_req_v2`: family, protocol, extensions, a gap, states (bit 10 is listening, bit 7 is no
    /// connection), and a socket's id.
    #[test]
    fn the_question() {
        for (family, number, transport, code, state) in [
            (Family::V4, 2, Protocol::Tcp, 6, 10),
            (Family::V6, 10, Protocol::Tcp, 6, 10),
            (Family::V4, 2, Protocol::Udp, 17, 7),
            (Family::V6, 10, Protocol::Udp, 17, 7),
        ] {
            let bytes = request(family, transport);
            assert_eq!(bytes.len(), 72);
            assert_eq!(bytes[..4], 72_u32.to_ne_bytes());
            assert_eq!(bytes[4..6], 20_u16.to_ne_bytes());
            // A request, for all.
            assert_eq!(bytes[6..8], 0x301_u16.to_ne_bytes());
            assert_eq!(bytes[16..20], [number, code, 0, 0]);
            assert_eq!(bytes[20..24], (1_u32 << state).to_ne_bytes());
        }
    }

    proptest! {
        #[test]
        fn laws_no_bytes_are_too_bad(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            payload in prop::collection::vec(any::<u8>(), 0..100),
            kind in 0_u16..25,
        ) {
            let _ = read(&bytes);
            let _ = read(&message(kind, &payload));
        }

        #[test]
        fn laws_whatever_is_bound_alone_is_found(
            port in 1_u16..,
            octets in any::<[u8; 16]>(),
            listens in any::<bool>(),
        ) {
            let address = SocketAddr::from((octets, port));
            let state = if listens { 10 } else { 7 };
            let batch = read(&message(20, &told(&address.to_string(), state, 0, 0))).unwrap();
            prop_assert_eq!(batch.sockets, vec![found(&address.to_string(), 0, listens)]);
        }
    }
}
