//! How the name that Podman posts to leads to the agent.
//!
//! Podman binds published ports on all of the guest's addresses, so a listener at port 80 of any of them would be in the
//! way of `-p 80:80`. The name stands for an address of no host (RFC 5737) that is made local, and what goes to its port 80
//! is turned to a port above those that the kernel hands out. Without an agent that port refuses at once: an address
//! that swallows packets would cost Podman's user two minutes.
//!
//! The marker by which Podman knows that somebody listens is a link to a file below `/run`, so that a boot without the
//! agent has none. All of it may be there already: the agent before this one made it.

use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use tokio::net::TcpListener;

use crate::linux::log::{chain, log_error};
use crate::linux::paths::{MACHINE_MARKER_TARGET, Paths};
use crate::linux::program::{self, Problem};
use crate::linux::{files, hosts};

/// What Podman has compiled in.
const NAME: &str = "gateway.containers.internal";
/// TEST-NET-1, which nobody has.
const ADDRESS: &str = "192.0.2.1";
/// Marks the line of ours in `/etc/hosts`.
const MARK: &str = "# machine-agent: published ports";
/// As podman's own QEMU machines have it: any word but `wsl` has Podman post.
const MARKER: &str = "qemu\n";
/// Podman 6 looks for the first, Podman 5 for the second.
const MARKER_LINKS: [&str; 2] = ["etc/podman-machine", "etc/containers/podman-machine"];
/// Above the ports that Linux hands out (32768 to 60999), where few publish one. The first free is taken.
pub(super) const PORTS: std::ops::RangeInclusive<u16> = 64_300..=64_399;
/// For a program, on an emulated processor in the middle of a boot.
const PROGRAM: Duration = Duration::from_mins(1);

/// Makes the way, then the marker.
pub(super) async fn open(paths: &Paths) -> Result<TcpListener, Problem> {
    let (listener, port) = listen().await?;
    let line = format!("{ADDRESS} {NAME}");
    hosts::set(&paths.hosts(), MARK, Some(&line)).map_err(failed("the name of the host's side"))?;
    program::run(paths, "nft", &[&rules(port)], PROGRAM).await?;
    let route = ["route", "replace", "local", ADDRESS, "dev", "lo"];
    program::run(paths, "ip", &route, PROGRAM).await?;
    mark(paths).map_err(failed("the sign for the engines"))?;
    Ok(listener)
}

/// Lets engines know that nobody listens, so that they publish within the guest alone.
pub(super) fn close(paths: &Paths) {
    if let Err(error) = files::remove(&paths.machine_marker()) {
        log_error("The sign for the engines stays", &error);
    }
}

async fn listen() -> Result<(TcpListener, u16), Problem> {
    let mut last = None;
    for port in PORTS {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            Ok(listener) => return Ok((listener, port)),
            Err(error) => last = Some(error),
        }
    }
    let why = last.map_or_else(String::new, |error| error.to_string());
    Err(format!("no port of the guest can be had: {why}"))
}

/// One transaction, and the same however often it is made: the table of before, if there is one, goes first.
fn rules(port: u16) -> String {
    format!(
        "add table ip machine_ports; delete table ip machine_ports; add table ip machine_ports; \
         add chain ip machine_ports output {{ type nat hook output priority -100; policy accept; }}; \
         add rule ip machine_ports output ip daddr {ADDRESS} tcp dport 80 redirect to :{port}"
    )
}

fn mark(paths: &Paths) -> io::Result<()> {
    let marker = paths.machine_marker();
    for place in MARKER_LINKS {
        let place = paths.root().join(place);
        if let Some(directory) = place.parent() {
            fs_err::create_dir_all(directory)?;
        }
        files::link(&place, Path::new(MACHINE_MARKER_TARGET))?;
    }
    files::write(&marker, MARKER.as_bytes()).map(drop)
}

fn failed(what: &str) -> impl Fn(io::Error) -> Problem + '_ {
    move |error| format!("{what} cannot be set: {}", chain(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::program::testing::Stub;

    #[tokio::test]
    async fn the_marker_comes_last_and_goes_first() {
        let stub = Stub::new();
        stub.put("etc/hosts", "127.0.0.1 localhost\n");
        stub.program("usr/sbin/nft", "test -e $ROOT/broken && exit 1; exit 0");
        stub.program(
            "usr/sbin/ip",
            "test -e $ROOT/run/podman-machine && echo marked >> $ROOT/calls; exit 0",
        );
        let listener = open(&stub.paths).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let calls = stub.calls();
        assert_eq!(calls.len(), 2, "not marked before: {calls:?}");
        assert!(
            calls[0].starts_with("nft ") && calls[0].ends_with(&format!("redirect to :{port}")),
            "{calls:?}"
        );
        assert_eq!(calls[1], "ip route replace local 192.0.2.1 dev lo");
        for link in MARKER_LINKS {
            // In a guest the link is absolute; what stands for one is elsewhere.
            let target = fs_err::read_link(stub.path(link)).unwrap();
            assert_eq!(target, Path::new("/run/podman-machine"));
        }
        assert_eq!(stub.text("run/podman-machine"), "qemu\n");
        assert_eq!(
            stub.text("etc/hosts"),
            "127.0.0.1 localhost\n\
             192.0.2.1 gateway.containers.internal # machine-agent: published ports\n"
        );

        // Another agent finds all of it and takes the next port.
        let other = open(&stub.paths).await.unwrap();
        assert_ne!(other.local_addr().unwrap().port(), port);

        close(&stub.paths);
        assert!(!stub.path("run/podman-machine").exists());
        stub.put("broken", "");
        let problem = open(&stub.paths).await.unwrap_err();
        assert!(problem.starts_with("`nft` ended with"), "{problem}");
        assert!(!stub.path("run/podman-machine").exists());
    }
}
