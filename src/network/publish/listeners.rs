//! Servers of the guest that become ports of the host: where the machine is configured so, on the host's loopback alone,
//! and only where nobody has the port.
//!
//! The guest says which of its ports have a server. None of them is worth an error: what the host does not give is left
//! out, and told once.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use machine_protocol::publish::{MAX_LISTENERS, Port, Protocol};

use super::table::Step;
use super::{MissingPort, Owner, PortNews, Publisher, State, words};

/// Ports that hosts keep for root.
const LOW: u16 = 1024;

/// What is known of the guest's servers.
#[derive(Debug, Default)]
pub(super) struct Forwarding {
    /// Whether they are forwarded.
    on: bool,
    /// Ports that were missed and told of.
    told: BTreeSet<(Protocol, u16)>,
}

impl Forwarding {
    /// Whether a port that cannot be had is worth a word: once, and not for one that hosts seldom give.
    fn is_news(&mut self, port: &Port) -> bool {
        port.port >= LOW && self.told.insert((port.protocol, port.port))
    }
}

/// The ports of the host for these of the guest: the same numbers, the first that come, each once.
fn ports(protocol: Protocol, numbers: &[u16]) -> Vec<Port> {
    let mut seen = BTreeSet::new();
    let numbers = numbers.iter().copied().filter(|number| *number != 0);
    let numbers = numbers.filter(|number| seen.insert(*number));
    let port = |number| Port {
        protocol,
        address: Ipv4Addr::LOCALHOST.into(),
        port: number,
        guest_port: number,
    };
    numbers.take(MAX_LISTENERS).map(port).collect()
}

impl Publisher {
    /// Lets servers of the guest be ports of the host, or closes all that are.
    pub async fn forward_listeners(&self, on: bool) {
        // A request that is being carried out would open some more.
        let _turn = self.turn.lock().await;
        self.state.lock().await.forwarding.on = on;
        if !on {
            for protocol in [Protocol::Tcp, Protocol::Udp] {
                self.set_listeners(protocol, &[]).await;
            }
        }
    }

    /// Has exactly these of the guest's ports of this protocol open, as far as that can be; how many are not.
    pub(super) async fn set_listeners(&self, protocol: Protocol, numbers: &[u16]) -> usize {
        let wanted = {
            let state = self.state.lock().await;
            if state.forwarding.on {
                ports(protocol, numbers)
            } else {
                Vec::new()
            }
        };
        let unwanted = {
            let state = self.state.lock().await;
            state.table.unwanted(Owner::Listener, &wanted)
        };
        for port in unwanted
            .into_iter()
            .filter(|port| port.protocol == protocol)
        {
            self.close_port(&port, Owner::Listener).await;
        }
        let mut open = 0;
        for port in wanted {
            open += usize::from(self.open_listener(port).await);
        }
        numbers.len() - open
    }

    /// Whether it is open. What containers and the configuration have is theirs, which is nothing to tell.
    async fn open_listener(&self, port: Port) -> bool {
        let mut state = self.state.lock().await;
        if state.closed {
            return false;
        }
        let places = match state.table.check(&port, Owner::Listener) {
            Ok(Step::Nothing) => return true,
            Ok(Step::Open(places)) => places,
            Err(_) => return false,
        };
        let failure = match self.begin(&mut state, port, Owner::Listener, &places) {
            Ok(()) => return true,
            Err(failure) => failure,
        };
        if state.forwarding.is_news(&port) {
            // Who has it is not asked: there may be many of them, and nobody waits.
            let reason = words::unavailable(&port, &failure, None);
            self.tell(&mut state, PortNews::Missing(MissingPort { port, reason }));
        }
        false
    }

    /// Gives a server's port back that had yielded to what could not be opened.
    pub(super) fn begin_again(&self, state: &mut State, port: Port) {
        if let Ok(Step::Open(places)) = state.table.check(&port, Owner::Listener)
            && let Err(failure) = self.begin(state, port, Owner::Listener, &places)
        {
            tracing::info!(?failure, "A port of a guest's server is lost");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_ports_of_the_loopback() {
        let found = ports(Protocol::Tcp, &[80, 0, 8080, 80]);
        let texts: Vec<_> = found
            .iter()
            .map(|port| format!("{port} to {}", port.guest_port))
            .collect();
        assert_eq!(
            texts,
            ["tcp 127.0.0.1:80 to 80", "tcp 127.0.0.1:8080 to 8080"]
        );
        let many: Vec<u16> = (1..=300).collect();
        assert_eq!(ports(Protocol::Udp, &many).len(), 256);
    }

    #[test]
    fn a_port_is_told_of_once() {
        let mut forwarding = Forwarding::default();
        let (tcp, udp) = (Protocol::Tcp, Protocol::Udp);
        let mut is_news = |protocol, number| forwarding.is_news(&ports(protocol, &[number])[0]);
        let told = [1023, 1024, 1024, 1025].map(|port| is_news(tcp, port));
        assert_eq!(told, [false, true, false, true]);
        assert_eq!([is_news(udp, 1024), is_news(udp, 1024)], [true, false]);
    }
}
