//! The host's names in the guest and its containers: a line in `/etc/hosts`, which containers get too, and the address
//! for podman itself, which would otherwise guess one.

use std::net::Ipv4Addr;

use super::{Applied, Problem, failed};
use crate::linux::paths::Paths;
use crate::linux::{files, hosts};

/// Podman's name for the host, and Docker's.
const NAMES: &str = "host.containers.internal host.docker.internal";
/// Marks the line of ours. What reads the file passes over it.
const MARK: &str = "# by machine-agent";
/// Read before any other of its directory (containers.conf(5)), so that the user's own win.
const CONFIGURATION: &str = "etc/containers/containers.conf.d/00-machine-host.conf";

pub(super) fn apply(paths: &Paths, address: Option<Ipv4Addr>) -> Result<Applied, Problem> {
    let what = "the host has no name in the guest";
    let line = address.map(|address| format!("{address} {NAMES}"));
    let mut changed = hosts::set(&paths.hosts(), MARK, line.as_deref()).map_err(failed(what))?;
    let path = paths.root().join(CONFIGURATION);
    let done = match address {
        Some(address) => files::write(&path, configuration(address).as_bytes()),
        None => files::remove(&path),
    };
    changed |= done.map_err(failed(what))?;
    Ok(if address.is_none() && !changed {
        Applied::Unused
    } else {
        Applied::Done
    })
}

fn configuration(address: Ipv4Addr) -> String {
    format!("[containers]\nhost_containers_internal_ip = \"{address}\"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::program::testing::Stub;

    #[test]
    fn named_moved_and_taken_back() {
        let stub = Stub::new();
        stub.put("etc/hosts", "127.0.0.1 localhost");
        let apply = |address: Option<Ipv4Addr>| super::apply(&stub.paths, address);
        assert_eq!(apply(None), Ok(Applied::Unused));
        for address in [[10, 0, 2, 2], [10, 1, 2, 2]] {
            let address = Ipv4Addr::from(address);
            for _ in 0..2 {
                assert_eq!(apply(Some(address)), Ok(Applied::Done));
                let line = format!(
                    "{address} host.containers.internal host.docker.internal # by machine-agent\n"
                );
                assert_eq!(
                    stub.text("etc/hosts"),
                    format!("127.0.0.1 localhost\n{line}")
                );
                assert_eq!(
                    stub.text(CONFIGURATION),
                    format!("[containers]\nhost_containers_internal_ip = \"{address}\"\n")
                );
            }
        }
        assert_eq!(apply(None), Ok(Applied::Done));
        assert_eq!(stub.text("etc/hosts"), "127.0.0.1 localhost\n");
        assert!(!stub.path(CONFIGURATION).exists());
    }
}
