//! Asking the kernel for the sockets of the agent's network namespace, which is the guest's own.

use std::io;
use std::ops::RangeInclusive;
use std::os::fd::OwnedFd;
use std::time::Duration;

use machine_protocol::publish::Protocol;
use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::wire::{self, Family, Socket};
use crate::linux::sys;

/// The kernel's longest part of a list (`NLMSG_GOODSIZE` grows to 32 KiB where there is room for it).
const PART: usize = 32 * 1024;
/// Parts of one list: more sockets than a kernel has ports. It is an end, whatever comes.
const PARTS: usize = 1024;
/// For a part, which the kernel has ready when it is asked.
const PART_TIME: Duration = Duration::from_secs(5);
/// Events that are taken together; the rest is the next one.
const EVENTS: usize = 1024;
/// The groups `SKNLGRP_INET_TCP_DESTROY` (1), `SKNLGRP_INET_UDP_DESTROY` (2), `SKNLGRP_INET6_TCP_DESTROY` (3) and
/// `SKNLGRP_INET6_UDP_DESTROY` (4) of `linux/sock_diag.h`, as a mask.
const DESTROYED: u32 = 0b1111;
/// Where the kernel says which ports it gives clients (`ip-sysctl`), and what it gives them where it does not say so.
const CLIENT_PORTS: (&str, RangeInclusive<u16>) =
    ("/proc/sys/net/ipv4/ip_local_port_range", 32768..=60999);

/// The ports that the kernel gives sockets that ask for none.
pub(super) fn client_ports() -> RangeInclusive<u16> {
    let (path, usual) = CLIENT_PORTS;
    let text = fs_err::read_to_string(path).unwrap_or_default();
    let mut numbers = text.split_ascii_whitespace().map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(first)), Some(Ok(last))) => first..=last,
        _ => usual,
    }
}

/// All TCP sockets that listen, or all UDP sockets that have no peer. It blocks; the first call may load a module of the
/// kernel.
pub(super) fn listening(protocol: Protocol) -> io::Result<Vec<Socket>> {
    let mut found = Vec::new();
    for family in [Family::V4, Family::V6] {
        match list(family, protocol, &mut found) {
            // A kernel without IPv6 has none of its sockets.
            Err(error) if family == Family::V6 && is_absent(&error) => {}
            done => done?,
        }
    }
    found.retain(|socket| socket.listens || protocol == Protocol::Udp);
    Ok(found)
}

fn is_absent(error: &io::Error) -> bool {
    [Errno::NOENT, Errno::AFNOSUPPORT, Errno::INVAL]
        .iter()
        .any(|absent| error.raw_os_error() == Some(absent.raw_os_error()))
}

/// A socket of its own each time: nothing of an earlier list, which may have broken off, can be in it.
fn list(family: Family, protocol: Protocol, found: &mut Vec<Socket>) -> io::Result<()> {
    let socket = open(SocketFlags::CLOEXEC)?;
    set_socket_timeout(&socket, Timeout::Recv, Some(PART_TIME))?;
    rustix::net::send(
        &socket,
        &wire::request(family, protocol),
        SendFlags::empty(),
    )?;
    let mut buffer = vec![0; PART];
    for _ in 0..PARTS {
        let (_, length) = rustix::net::recv(&socket, buffer.as_mut_slice(), RecvFlags::empty())?;
        let batch = wire::read(buffer.get(..length).unwrap_or(&buffer)).map_err(into_io)?;
        found.extend(batch.sockets);
        if batch.done {
            return Ok(());
        }
    }
    Err(io::Error::other("the kernel's list of sockets has no end"))
}

fn into_io(error: wire::WireError) -> io::Error {
    match error {
        wire::WireError::Refused(error) => error,
        error @ wire::WireError::Form(_) => io::Error::other(error),
    }
}

fn open(flags: SocketFlags) -> io::Result<OwnedFd> {
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        flags,
        Some(netlink::SOCK_DIAG),
    )?;
    Ok(socket)
}

/// Hears of sockets that are closed.
#[derive(Debug)]
pub(super) struct Closed {
    socket: AsyncFd<OwnedFd>,
}

impl Closed {
    /// Some kernels allow it to root alone.
    pub(super) fn listen() -> io::Result<Self> {
        let socket = open(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
        rustix::net::bind(&socket, &SocketAddrNetlink::new(0, DESTROYED))?;
        let socket = sys::watched(socket, Interest::READABLE)?;
        Ok(Self { socket })
    }

    /// Resolves when a socket without a peer was closed, as a server's is; connections come and go all the time. What
    /// is there by then counts as heard. Events that are lost are as good as one that is not.
    pub(super) async fn wait(&self) -> io::Result<()> {
        let mut buffer = vec![0; PART];
        let mut heard = 0;
        while heard < EVENTS {
            let mut ready = self.socket.readable().await?;
            let read = ready.try_io(|socket| {
                let read = rustix::net::recv(socket, buffer.as_mut_slice(), RecvFlags::empty());
                read.map(|(_, length)| length).map_err(io::Error::from)
            });
            let length = match read {
                Ok(Ok(length)) => length,
                Ok(Err(error)) if error.raw_os_error() == Some(Errno::NOBUFS.raw_os_error()) => {
                    return Ok(());
                }
                Ok(Err(error)) => return Err(error),
                Err(_not_ready) if heard > 0 => break,
                Err(_not_ready) => continue,
            };
            match wire::read(buffer.get(..length).unwrap_or(&buffer)) {
                Ok(batch) if batch.sockets.is_empty() => {}
                // What cannot be read may have been one.
                Ok(_) | Err(_) => heard += 1,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};

    use super::*;

    fn found(address: SocketAddr) -> bool {
        is_among(Protocol::Tcp, address)
    }

    fn is_among(protocol: Protocol, address: SocketAddr) -> bool {
        let mut all = listening(protocol).unwrap().into_iter();
        all.any(|socket| socket.address == address)
    }

    #[test]
    fn a_socket_for_datagrams_is_found_while_it_has_no_peer() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        assert!(is_among(Protocol::Udp, address));
        assert!(!is_among(Protocol::Tcp, address));
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.connect(address).unwrap();
        assert!(!is_among(Protocol::Udp, client.local_addr().unwrap()));
        drop(server);
        assert!(!is_among(Protocol::Udp, address));
        assert!(client_ports().contains(&address.port()), "{address}");
    }

    #[test]
    fn a_listener_is_found_while_it_listens_and_its_connections_are_not() {
        for place in ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"] {
            let Ok(server) = TcpListener::bind(place) else {
                assert!(place.starts_with('['), "{place}");
                continue;
            };
            let address = server.local_addr().unwrap();
            assert!(found(address), "{place}");
            let client = TcpStream::connect(address).unwrap();
            let connection = server.accept().unwrap().0;
            drop(server);
            assert!(!found(address), "{place}");
            drop((client, connection));
        }
    }

    /// Some places do not let ordinary users hear of it.
    #[tokio::test]
    async fn the_end_of_a_listener_is_heard() {
        let Ok(closed) = Closed::listen() else {
            return;
        };
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        drop(server);
        let heard = tokio::time::timeout(Duration::from_secs(10), closed.wait());
        heard.await.unwrap().unwrap();
    }
}
