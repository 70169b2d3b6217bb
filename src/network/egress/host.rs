//! What a guest's way out depends on at the host.

use std::path::Path;

use machine_host::routes::{self, Block, Routes};

#[cfg(unix)]
#[path = "unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "windows.rs"]
mod platform;

use super::names;

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
        let text = resolver().and_then(|file| fs_err::read_to_string(file).ok());
        let servers = names::listed(&text.unwrap_or_default());
        Self {
            routes: routes::present(),
            has_own_name_server: servers.first().is_some_and(std::net::IpAddr::is_loopback),
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

/// The configuration of the host's resolver, where it is a resolv.conf(5).
pub fn resolver() -> Option<&'static Path> {
    platform::RESOLVER.map(Path::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_no_obstacle() {
        let unknown = HostNetwork::default();
        assert!(unknown.has_route() && unknown.has_ipv6());
        assert!(unknown.networks().is_empty());
    }
}
