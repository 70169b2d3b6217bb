//! Linux: the kernel's tables of sockets, and the descriptors of processes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use crate::ports::{Holder, Transport};

/// `EAFNOSUPPORT`.
pub(crate) const NO_SUCH_FAMILY: i32 = rustix::io::Errno::AFNOSUPPORT.raw_os_error();

/// The first port that is everybody's.
const FIRST_FREE: &str = "/proc/sys/net/ipv4/ip_unprivileged_port_start";

pub(crate) fn denied(port: u16) -> String {
    let first = fs_err::read_to_string(FIRST_FREE).unwrap_or_default();
    let first = first.trim();
    let first = if first.is_empty() { "1024" } else { first };
    format!(
        "ports below {first} are root's on this host; `sudo sysctl net.ipv4.ip_unprivileged_port_start={port}` gives port {port} and those above to everybody (a file in /etc/sysctl.d keeps it so), or publish a higher port and let the firewall lead there: `sudo firewall-cmd --add-forward-port=port={port}:proto=tcp:toport=HIGHER`"
    )
}

/// A socket of the kernel's table.
#[derive(Debug, PartialEq, Eq)]
struct Socket {
    address: IpAddr,
    port: u16,
    user: u32,
    inode: u64,
}

/// Whether connections that are over keep their port from being bound.
pub(crate) const WAITS_FOR_OLD_CONNECTIONS: bool = true;

pub(crate) fn holder(transport: Transport, address: IpAddr, port: u16) -> Option<Holder> {
    let (tables, state) = match transport {
        Transport::Tcp => (["/proc/net/tcp", "/proc/net/tcp6"], "0A"),
        Transport::Udp => (["/proc/net/udp", "/proc/net/udp6"], "07"),
    };
    let socket = tables.iter().find_map(|table| {
        let text = fs_err::read_to_string(table).ok()?;
        let sockets = text.lines().skip(1).filter_map(|line| parse(line, state));
        sockets
            .into_iter()
            .find(|socket| socket.port == port && overlap(socket.address, address))
    })?;
    Some(match process_with(socket.inode) {
        Some((pid, name)) => Holder::Process { pid, name },
        None => Holder::User(socket.user),
    })
}

fn overlap(one: IpAddr, other: IpAddr) -> bool {
    one == other || one.is_unspecified() || other.is_unspecified()
}

/// A line in this state (hexadecimal): `sl local remote st queues timer retransmits uid timeout inode …`.
fn parse(line: &str, state: &str) -> Option<Socket> {
    let mut fields = line.split_ascii_whitespace();
    let (address, port) = fields.nth(1)?.split_once(':')?;
    if fields.nth(1)? != state {
        return None;
    }
    let user = fields.nth(3)?.parse().ok()?;
    let inode = fields.nth(1)?.parse().ok()?;
    Some(Socket {
        address: parse_address(address)?,
        port: u16::from_str_radix(port, 16).ok()?,
        user,
        inode,
    })
}

/// Groups of four bytes, each printed as a number of the processor's own order.
fn parse_address(text: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let word = text.get(at * 8..at * 8 + 8)?;
        let word = u32::from_str_radix(word, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    match text.len() {
        8 => Some(IpAddr::V4(Ipv4Addr::from(word(0)?))),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            let mut bytes = [0; 16];
            for (place, byte) in bytes.iter_mut().zip(words.iter().flatten()) {
                *place = *byte;
            }
            Some(IpAddr::V6(Ipv6Addr::from(bytes)))
        }
        _ => None,
    }
}

/// The process that has this socket open, as far as we may look.
fn process_with(inode: u64) -> Option<(u32, String)> {
    let wanted = format!("socket:[{inode}]");
    let processes = fs_err::read_dir("/proc").ok()?.flatten();
    processes.into_iter().find_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let descriptors = fs_err::read_dir(entry.path().join("fd")).ok()?;
        let has_it = descriptors.flatten().any(|descriptor| {
            fs_err::read_link(descriptor.path()).is_ok_and(|link| link == Path::new(&wanted))
        });
        if !has_it {
            return None;
        }
        let name = fs_err::read_to_string(entry.path().join("comm")).unwrap_or_default();
        // Whoever names a process may put anything there.
        let name = name.trim().replace(|letter: char| letter.is_control(), "?");
        Some((pid, name))
    })
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    #[test]
    fn lines_of_the_kernel() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 12345 1 0000000000000000 100 0 0 10 0";
        if cfg!(target_endian = "little") {
            assert_eq!(
                parse(line, "0A"),
                Some(Socket {
                    address: IpAddr::V4(Ipv4Addr::LOCALHOST),
                    port: 8080,
                    user: 1000,
                    inode: 12345,
                })
            );
            assert_eq!(
                parse_address("00000000000000000000000001000000"),
                Some(IpAddr::V6(Ipv6Addr::LOCALHOST))
            );
        }
        assert_eq!(parse(line, "01"), None, "a connection is no listener");
        for odd in ["", "sl", "0: x:y 0:0 0A", "0: 0100007F 0 0A 0 0 0 0 0 0"] {
            assert_eq!(parse(odd, "0A"), None, "{odd}");
        }
    }

    #[test]
    fn this_process_is_found() {
        let holder_of = |transport, address: std::net::SocketAddr| {
            holder(transport, address.ip(), address.port())
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let found = holder_of(Transport::Tcp, address).unwrap();
        assert!(
            matches!(found, Holder::Process { pid, .. } if pid == std::process::id()),
            "{found:?}"
        );
        assert_eq!(
            holder(Transport::Tcp, Ipv4Addr::UNSPECIFIED.into(), address.port()),
            Some(found)
        );
        drop(listener);
        assert_eq!(holder_of(Transport::Tcp, address), None);
        let socket = UdpSocket::bind("[::1]:0").unwrap();
        let found = holder_of(Transport::Udp, socket.local_addr().unwrap()).unwrap();
        assert!(
            matches!(found, Holder::Process { pid, .. } if pid == std::process::id()),
            "{found:?}"
        );
    }
}
