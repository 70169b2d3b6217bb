//! Ports of the host's loopback for the machines' SSH servers.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, TcpListener};

use super::Store;

/// So many ports that the system offers may belong to stopped machines before something is odd.
const OFFERS: usize = 64;

impl Store {
    /// A port that no program listens at and no machine, running or not, has. It is the caller's for the life of the
    /// listener; the system offers it again to nobody soon after.
    pub fn free_ssh_port(&self) -> io::Result<(TcpListener, u16)> {
        let taken: BTreeSet<u16> = self
            .list()
            .unwrap_or_default()
            .into_iter()
            .filter_map(|(_, machine)| machine.ok())
            .map(|machine| machine.config.ssh_port)
            .collect();
        // Held until one fits, so that the system offers another each time.
        let mut refused = Vec::new();
        for _ in 0..OFFERS {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let port = listener.local_addr()?.port();
            if !taken.contains(&port) {
                return Ok((listener, port));
            }
            refused.push(listener);
        }
        Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "every port that the system offers belongs to a machine",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bench;

    #[test]
    fn the_port_is_free_and_ours() {
        let bench = Bench::new();
        bench.make("dev");
        let (one, port) = bench.store.free_ssh_port().unwrap();
        assert_eq!(one.local_addr().unwrap().port(), port);
        let (_other, another) = bench.store.free_ssh_port().unwrap();
        assert_ne!(port, another);
        let dev = bench
            .store
            .load(&super::super::testing::name("dev"))
            .unwrap();
        assert!(![port, another].contains(&dev.config.ssh_port));
    }
}
