//! The parameters of one boot: what the supervisor writes to the seed disk for the agent.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::secret::Secret;

/// Label of the seed disk's file system; the guest finds the disk by it.
pub const SEED_LABEL: &str = "MACHINESEED";
/// The agent's file name on the seed disk.
pub const SEED_AGENT: &str = "agent";
/// File name of the [`BootParameters`] on the seed disk.
pub const SEED_BOOT: &str = "boot.json";
/// File name of the host's certificate authorities (PEM) on the seed disk; there only when they are to be imported.
pub const SEED_CERTIFICATES: &str = "host-ca.pem";
/// Name of the virtio-serial port that carries the link.
pub const VIRTIO_SERIAL_PORT: &str = "machine.link.0";
/// The context id under which a guest finds its host on vsock.
pub const VSOCK_HOST: u32 = 2;
/// The port on the host that carries the link over vsock, where the host's ports are the machine's alone. Not 1024, which
/// Ignition asks on the platforms on which it has its configuration by vsock.
pub const VSOCK_PORT: u32 = 1025;
/// The socket in the guest at which the agent waits for the host, where that has only the streams of a program there.
pub const BRIDGE_SOCKET: &str = "/run/machine/link.sock";
/// Serial number of the disk that holds what the engines keep; the guest finds the disk by it.
pub const DATA_DISK_SERIAL: &str = "machine-data";
/// Label of the file system on it; at most 16 bytes (`mkfs.ext4`).
pub const DATA_DISK_LABEL: &str = "machine-data";
/// The [`BootParameters::format`] that this build writes.
pub const BOOT_FORMAT: u32 = 1;

/// Written anew at every start. Readers ignore keys that they do not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootParameters {
    /// Version of this document, [`BOOT_FORMAT`].
    pub format: u32,
    /// Name of the machine.
    pub machine: String,
    /// The secret of the link.
    pub secret: Secret,
    /// The user in the guest whose rootless engine is served.
    pub user: String,
    /// That user's id.
    pub uid: u32,
    /// Whether the machine's engine is root's.
    pub rootful: bool,
    /// The ways to the host, best first.
    pub carriers: Vec<Carrier>,
    /// Build of the host's program.
    pub host_build: String,
    /// What the guest is to have in common with the host.
    #[serde(default)]
    pub facts: HostFacts,
    /// Folders of the host, each before those that lie in it.
    #[serde(default)]
    pub shares: Vec<Share>,
    /// The disk of its own for what the engines keep; `None` where all of it is on the disk of the operating system.
    #[serde(default)]
    pub data_disk: Option<DataDisk>,
}

/// The disk for what the engines keep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataDisk {
    /// The serial number by which the guest finds it, usually [`DATA_DISK_SERIAL`].
    pub serial: String,
}

/// A folder of the host that the guest is to have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// The name by which the guest's kernel finds it.
    pub tag: String,
    /// How it is shared.
    pub kind: ShareKind,
    /// Its place in the guest, an absolute path without `..`.
    pub target: String,
    /// Whether the guest can change nothing in it.
    pub read_only: bool,
    /// What `SELinux` is to take its files for.
    pub context: String,
    /// Why the host does not share it after all; its place is then made unusable.
    #[serde(default)]
    pub problem: Option<String>,
}

/// How a folder is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ShareKind {
    /// By a virtio-fs device.
    #[serde(rename = "virtiofs")]
    Virtiofs,
    /// By a virtio-9p device.
    #[serde(rename = "9p")]
    NineP,
}

/// What the guest is to have in common with its host from this boot on. What is missing here is removed in the guest.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostFacts {
    /// The time zone's name (`Europe/Berlin`); `None` leaves the guest's as it is.
    pub time_zone: Option<String>,
    /// Environment variables with proxies, already rewritten so that they lead to the host. Values may hold passwords.
    pub proxies: BTreeMap<String, String>,
    /// Where the guest finds the host's loopback: the address of `host.containers.internal`. `None` where it is kept
    /// from it.
    pub host_address: Option<Ipv4Addr>,
    /// Compressed swap space in MiB; 0 is none.
    pub swap_mib: u64,
    /// Whether [`SEED_CERTIFICATES`] is on the seed.
    pub certificates: bool,
    /// The tag of the folder with Apple's Rosetta, which runs programs for x86-64, if the guest is to have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub translator: Option<String>,
}

/// Without the values of proxies, which may hold passwords.
impl fmt::Debug for HostFacts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let proxies: Vec<&String> = self.proxies.keys().collect();
        formatter
            .debug_struct("HostFacts")
            .field("time_zone", &self.time_zone)
            .field("proxies", &proxies)
            .field("host_address", &self.host_address)
            .field("swap_mib", &self.swap_mib)
            .field("certificates", &self.certificates)
            .field("translator", &self.translator)
            .finish()
    }
}

/// One way from the guest to the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Carrier {
    /// A virtio-serial port.
    VirtioSerial {
        /// Its name under `/dev/virtio-ports`.
        port: String,
    },
    /// A vsock listener of the host.
    Vsock {
        /// Context id of the host.
        cid: u32,
        /// Port on the host.
        port: u32,
    },
    /// A socket of the guest, to which a program that the host runs there joins its standard streams.
    Bridge {
        /// Its path, usually [`BRIDGE_SOCKET`].
        socket: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn document_keeps_its_form_and_tolerates_new_keys() {
        let parameters = BootParameters {
            format: BOOT_FORMAT,
            machine: "default".into(),
            secret: Secret::from_hex(&"5a".repeat(32)).unwrap(),
            user: "core".into(),
            uid: 1000,
            rootful: false,
            carriers: vec![
                Carrier::VirtioSerial {
                    port: VIRTIO_SERIAL_PORT.into(),
                },
                Carrier::Vsock { cid: 2, port: 1024 },
                Carrier::Bridge {
                    socket: BRIDGE_SOCKET.into(),
                },
            ],
            host_build: "0.1.0".into(),
            facts: HostFacts {
                time_zone: Some("Europe/Berlin".into()),
                proxies: BTreeMap::from([("no_proxy".into(), "localhost".into())]),
                host_address: Some(Ipv4Addr::new(10, 0, 2, 2)),
                swap_mib: 512,
                certificates: true,
                translator: Some("rosetta".into()),
            },
            shares: vec![Share {
                tag: "machine-share-0".into(),
                kind: ShareKind::NineP,
                target: "/a b".into(),
                read_only: true,
                context: "c".into(),
                problem: None,
            }],
            data_disk: Some(DataDisk {
                serial: DATA_DISK_SERIAL.into(),
            }),
        };
        let json = format!(
            r#"{{"format":1,"machine":"default","secret":"{}","user":"core","uid":1000,"rootful":false,"carriers":[{{"kind":"virtio-serial","port":"machine.link.0"}},{{"kind":"vsock","cid":2,"port":1024}},{{"kind":"bridge","socket":"/run/machine/link.sock"}}],"host_build":"0.1.0","facts":{{"time_zone":"Europe/Berlin","proxies":{{"no_proxy":"localhost"}},"host_address":"10.0.2.2","swap_mib":512,"certificates":true,"translator":"rosetta"}},"shares":[{{"tag":"machine-share-0","kind":"9p","target":"/a b","read_only":true,"context":"c","problem":null}}],"data_disk":{{"serial":"machine-data"}}}}"#,
            "5a".repeat(32)
        );
        assert_eq!(serde_json::to_string(&parameters).unwrap(), json);
        let newer = json.replacen('{', r#"{"later":[1],"#, 1);
        assert_eq!(
            serde_json::from_str::<BootParameters>(&newer).unwrap(),
            parameters
        );
    }

    #[test]
    fn passwords_in_proxies_are_not_shown() {
        let facts = HostFacts {
            proxies: BTreeMap::from([("http_proxy".into(), "http://u:hunter2@p:1".into())]),
            ..HostFacts::default()
        };
        let shown = format!("{facts:?}");
        assert!(
            shown.contains("http_proxy") && !shown.contains("hunter2"),
            "{shown}"
        );
    }
}
