//! The host's names in the guest and its containers: a line in `/etc/hosts`, which containers get too, and the address
//! for podman itself, which would otherwise guess one.

use std::io;
use std::net::Ipv4Addr;
use std::path::Path;

use super::{Applied, Problem, failed, files};
use crate::linux::paths::Paths;

/// Podman's name for the host, and Docker's.
const NAMES: &str = "host.containers.internal host.docker.internal";
/// Marks the line of ours. What reads the file passes over it.
const MARK: &str = "# by machine-agent";
/// Read before any other of its directory (containers.conf(5)), so that the user's own win.
const CONFIGURATION: &str = "etc/containers/containers.conf.d/00-machine-host.conf";

pub(super) fn apply(paths: &Paths, address: Option<Ipv4Addr>) -> Result<Applied, Problem> {
    let what = "the host has no name in the guest";
    let hosts = paths.root().join("etc/hosts");
    let mut changed = name_host(&hosts, address).map_err(failed(what))?;
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

/// Gives the host its names in `/etc/hosts`, or takes them away.
fn name_host(path: &Path, address: Option<Ipv4Addr>) -> io::Result<bool> {
    let old = files::read(path)?.unwrap_or_default();
    let Ok(text) = str::from_utf8(&old) else {
        return Err(io::Error::other(format!(
            "`{}` is not text",
            path.display()
        )));
    };
    let mut new: String = text
        .split_inclusive('\n')
        .filter(|line| !line.trim_end().ends_with(MARK))
        .collect();
    if let Some(address) = address {
        if !new.is_empty() && !new.ends_with('\n') {
            new.push('\n');
        }
        new = format!("{new}{address} {NAMES} {MARK}\n");
    }
    if new.as_bytes() == old {
        return Ok(false);
    }
    files::write(path, new.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::super::program::testing::Stub;
    use super::*;

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

    #[test]
    fn a_file_that_is_no_text_is_left_alone() {
        let stub = Stub::new();
        let hosts = stub.path("etc/hosts");
        fs_err::create_dir_all(hosts.parent().unwrap()).unwrap();
        fs_err::write(&hosts, b"\xff\xfe").unwrap();
        let problem = super::apply(&stub.paths, Some(Ipv4Addr::LOCALHOST)).unwrap_err();
        assert!(problem.starts_with("the host has no name"), "{problem}");
        assert_eq!(fs_err::read(&hosts).unwrap(), b"\xff\xfe");
    }
}
