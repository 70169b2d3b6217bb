//! What a guest's way out depends on at the host.

use std::net::IpAddr;

use machine_host::routes::{self, Block, Routes};

#[cfg(unix)]
#[path = "unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "windows.rs"]
mod platform;

/// The host's own network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostNetwork {
    /// Its routes, where they are known.
    pub routes: Option<Routes>,
    /// Whether its names are resolved by a program of its own, which follows a change of networks.
    pub has_own_name_server: bool,
}

impl HostNetwork {
    /// As it is now.
    pub fn present() -> Self {
        let resolver = platform::resolver().unwrap_or_default();
        Self {
            routes: routes::present(),
            has_own_name_server: first_name_server(&resolver)
                .is_some_and(|first| first.is_loopback()),
        }
    }

    /// Whether there is a way out; what is not known counts as one.
    pub fn has_route(&self) -> bool {
        let routes = self.routes.as_ref();
        routes.is_none_or(|routes| routes.default_ipv4 || routes.default_ipv6)
    }

    /// Whether there is a way out by IPv6; what is not known counts as one.
    pub fn has_ipv6(&self) -> bool {
        self.routes
            .as_ref()
            .is_none_or(|routes| routes.default_ipv6)
    }

    /// The networks that a guest's must not hide.
    pub fn networks(&self) -> &[Block] {
        self.routes.as_ref().map_or(&[], |routes| &routes.networks)
    }
}

/// The first `nameserver` of a resolv.conf(5).
fn first_name_server(text: &str) -> Option<IpAddr> {
    let mut servers = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next())?
    });
    // An address of a link has the name of its card behind a `%`.
    servers.next()?.split('%').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_server_counts() {
        for (text, expected) in [
            (
                "nameserver 127.0.0.53\nnameserver 9.9.9.9\n",
                Some("127.0.0.53"),
            ),
            (
                "# nameserver 127.0.0.1\nsearch x\nnameserver\t10.1.1.1\n",
                Some("10.1.1.1"),
            ),
            ("nameserver fe80::1%eth0\n", Some("fe80::1")),
            ("nameserver nonsense\n", None),
            ("nameserver", None),
            ("", None),
        ] {
            let found = first_name_server(text).map(|address| address.to_string());
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_known_is_no_obstacle() {
        let unknown = HostNetwork::default();
        assert!(unknown.has_route() && unknown.has_ipv6());
        assert!(unknown.networks().is_empty());
    }
}
