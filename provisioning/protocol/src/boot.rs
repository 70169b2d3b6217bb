//! The parameters of one boot: what the supervisor writes to the seed disk for the agent.

use serde::{Deserialize, Serialize};

use crate::secret::Secret;

/// Label of the seed disk's file system; the guest finds the disk by it.
pub const SEED_LABEL: &str = "MACHINESEED";
/// The agent's file name on the seed disk.
pub const SEED_AGENT: &str = "agent";
/// File name of the [`BootParameters`] on the seed disk.
pub const SEED_BOOT: &str = "boot.json";
/// Name of the virtio-serial port that carries the link.
pub const VIRTIO_SERIAL_PORT: &str = "machine.link.0";
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
            ],
            host_build: "0.1.0".into(),
        };
        let json = format!(
            r#"{{"format":1,"machine":"default","secret":"{}","user":"core","uid":1000,"rootful":false,"carriers":[{{"kind":"virtio-serial","port":"machine.link.0"}},{{"kind":"vsock","cid":2,"port":1024}}],"host_build":"0.1.0"}}"#,
            "5a".repeat(32)
        );
        assert_eq!(serde_json::to_string(&parameters).unwrap(), json);
        let newer = json.replacen('{', r#"{"later":[1],"#, 1);
        assert_eq!(
            serde_json::from_str::<BootParameters>(&newer).unwrap(),
            parameters
        );
    }
}
