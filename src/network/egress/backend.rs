//! What carries a guest's packets: the hypervisor itself, passt, or gvproxy. All that is known of each stands here.

use std::ffi::OsString;
use std::fmt;
use std::net::Ipv4Addr;
use std::path::Path;

use machine_host::companion::FIRST_INHERITED;

use crate::machine::{Egress, GuestNetwork, NetworkSocket};

/// A way out for a guest. Plain facts and arguments: nothing is done here.
pub trait Backend: fmt::Debug + Sync {
    /// The program beside the VM, where there is one.
    fn program(&self) -> Option<Program> {
        None
    }

    /// The addresses that the guest gets, of those that are free.
    fn network(&self, free: GuestNetwork) -> GuestNetwork {
        free
    }

    /// Whether the guest can be kept from what listens on the host's loopback.
    fn can_close_loopback(&self) -> bool {
        false
    }

    /// Whether it needs a host that has a way out itself.
    fn needs_route(&self) -> bool {
        false
    }

    /// Whether it asks the host's name server of the moment. Otherwise it asks that of its start for ever.
    fn follows_name_server(&self) -> bool {
        true
    }
}

/// A program that carries packets.
#[derive(Clone, Copy)]
pub struct Program {
    /// Its name.
    pub name: &'static str,
    /// How it is installed.
    pub install: &'static str,
    /// How it and the VM come together.
    pub joint: Joint,
    /// Its arguments.
    pub arguments: fn(&Terms<'_>) -> Vec<OsString>,
}

/// What a program is to do.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// The guest's addresses.
    pub network: &'a GuestNetwork,
    /// Whether the guest reaches the host's loopback.
    pub host_loopback: bool,
    /// The socket of the VM's network.
    pub socket: &'a Path,
    /// Its kind.
    pub kind: NetworkSocket,
}

impl fmt::Debug for Program {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Program");
        shown.field("name", &self.name).finish_non_exhaustive()
    }
}

/// Who listens at the socket of a VM's network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joint {
    /// The hypervisor; the program inherits a connection, and can be started anew at any time.
    Hypervisor,
    /// The program, which has to be there first.
    Program,
}

/// What is known of a way out.
pub fn backend(egress: Egress) -> &'static dyn Backend {
    match egress {
        Egress::BuiltIn => &BuiltIn,
        Egress::Passt => &Passt,
        Egress::Gvproxy => &Gvproxy,
    }
}

/// The hypervisor's own network. QEMU's reads the host's `resolv.conf` whenever it has changed.
#[derive(Debug)]
struct BuiltIn;

impl Backend for BuiltIn {}

/// passt(1), which translates packets to sockets of the host and needs no rights.
#[derive(Debug)]
struct Passt;

impl Backend for Passt {
    fn program(&self) -> Option<Program> {
        Some(Program {
            name: "passt",
            install: "install the package `passt`",
            joint: Joint::Hypervisor,
            arguments: passt_arguments,
        })
    }

    fn can_close_loopback(&self) -> bool {
        true
    }

    /// It takes its addresses from a network card, and ends where there is none.
    fn needs_route(&self) -> bool {
        true
    }

    fn follows_name_server(&self) -> bool {
        false
    }
}

/// Options that passt has had since 2022. It tells the guest of the host's name servers itself, of one on the host's
/// loopback as the gateway; told of others, it would ask those. No port of the host leads to the guest by it: that is
/// the link's work.
fn passt_arguments(terms: &Terms<'_>) -> Vec<OsString> {
    let network = terms.network;
    let mut words = vec![
        "--foreground".to_owned(),
        "--fd".to_owned(),
        FIRST_INHERITED.to_string(),
    ];
    let options = [
        ("--address", network.guest.to_string()),
        ("--netmask", network.prefix.to_string()),
        ("--gateway", network.host.to_string()),
        ("--tcp-ports", "none".to_owned()),
        ("--udp-ports", "none".to_owned()),
    ];
    words.extend(
        options
            .into_iter()
            .flat_map(|(option, value)| [option.to_owned(), value]),
    );
    if !terms.host_loopback {
        words.push("--no-map-gw".to_owned());
    }
    words.into_iter().map(OsString::from).collect()
}

/// gvproxy, podman's own: the network that podman's machines know.
#[derive(Debug)]
struct Gvproxy;

impl Backend for Gvproxy {
    fn program(&self) -> Option<Program> {
        Some(Program {
            name: "gvproxy",
            install: "install the package `gvproxy` or `gvisor-tap-vsock` (on macOS `brew install podman` brings it)",
            joint: Joint::Program,
            arguments: gvproxy_arguments,
        })
    }

    /// Built into it: gateway 192.168.127.1, the host .254, and .3 as the first that it gives
    /// to a card that it does not know.
    fn network(&self, _free: GuestNetwork) -> GuestNetwork {
        let address = |last| Ipv4Addr::new(192, 168, 127, last);
        GuestNetwork {
            first: address(0),
            prefix: 24,
            host: address(254),
            name_server: address(1),
            guest: address(3),
        }
    }
}

/// No SSH port, for the link has one, and no control socket.
fn gvproxy_arguments(terms: &Terms<'_>) -> Vec<OsString> {
    let (option, scheme) = match terms.kind {
        NetworkSocket::Stream => ("-listen-qemu", "unix://"),
        NetworkSocket::Datagram => ("-listen-vfkit", "unixgram://"),
    };
    let mut listen = OsString::from(scheme);
    listen.push(terms.socket);
    vec![
        option.into(),
        listen,
        "-mtu".into(),
        "1500".into(),
        "-ssh-port".into(),
        "-1".into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::addresses::customary;
    use super::*;

    fn words(egress: Egress, host_loopback: bool, kind: NetworkSocket) -> String {
        let backend = backend(egress);
        let program = backend.program().unwrap();
        let network = backend.network(customary());
        let words = (program.arguments)(&Terms {
            network: &network,
            host_loopback,
            socket: Path::new("/m/network.sock"),
            kind,
        });
        words.join(" ".as_ref()).into_string().unwrap()
    }

    #[test]
    fn passt_gets_the_addresses_and_opens_no_port() {
        let common = format!(
            "--foreground --fd {FIRST_INHERITED} --address 10.0.2.15 --netmask 24 --gateway 10.0.2.2 \
             --tcp-ports none --udp-ports none"
        );
        let words = |loopback| words(Egress::Passt, loopback, NetworkSocket::Stream);
        assert_eq!(words(true), common);
        assert_eq!(words(false), format!("{common} --no-map-gw"));
    }

    #[test]
    fn gvproxy_has_addresses_of_its_own() {
        assert_eq!(
            words(Egress::Gvproxy, true, NetworkSocket::Stream),
            "-listen-qemu unix:///m/network.sock -mtu 1500 -ssh-port -1"
        );
        assert_eq!(
            words(Egress::Gvproxy, true, NetworkSocket::Datagram),
            "-listen-vfkit unixgram:///m/network.sock -mtu 1500 -ssh-port -1"
        );
        let network = backend(Egress::Gvproxy).network(customary());
        assert_eq!(network.host.to_string(), "192.168.127.254");
    }
}
