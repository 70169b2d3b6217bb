//! From a plan to the arguments of vfkit and krunkit. Pure.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use machine_protocol::boot::{DATA_DISK_SERIAL, VSOCK_PORT};
use sha2::{Digest as _, Sha256};

use crate::provider::apple::flavour::Flavour;
use crate::provider::{FirstBootChannel, LaunchPlan, NetworkJoint, SharePlan};

/// What the arguments depend on besides the plan.
#[derive(Clone, Copy, Debug)]
pub(super) struct Surroundings<'a> {
    /// Which program.
    pub(super) flavour: &'a Flavour,
    /// Whether it has a balloon for its guest.
    pub(super) balloon: bool,
    /// The folders that it can be told of.
    pub(super) shares: &'a [&'a SharePlan],
}

/// The arguments that follow the program's name.
pub(super) fn arguments(plan: &LaunchPlan, surroundings: &Surroundings<'_>) -> Vec<OsString> {
    let mut arguments = Arguments::default();
    arguments.machine(plan);
    arguments.disks(plan, surroundings);
    arguments.rest_of_the_board(plan, surroundings);
    arguments.vsock(plan, surroundings);
    arguments.network(plan);
    for share in surroundings.shares {
        let list = List::new("virtio-fs").set("sharedDir", &share.source);
        arguments.device(list.set("mountTag", &share.tag));
    }
    if let Some(tag) = &plan.translator
        && surroundings.flavour.capabilities.has_translator
    {
        // Where it is not there yet macOS asks its user.
        let list = List::new("rosetta").set("mountTag", tag);
        arguments.device(list.flag("install"));
    }
    arguments.services(plan, surroundings);
    arguments.0
}

/// A list of keys and values behind an option. Neither program has a way to write a comma in one; see
/// [`speakable`](super::speakable).
#[derive(Debug)]
struct List(OsString);

impl List {
    fn new(name: &str) -> Self {
        Self(name.into())
    }

    fn set(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self = self.flag(key);
        self.0.push("=");
        self.0.push(value);
        self
    }

    fn flag(mut self, word: &str) -> Self {
        self.0.push(",");
        self.0.push(word);
        self
    }
}

#[derive(Debug, Default)]
struct Arguments(Vec<OsString>);

impl Arguments {
    fn option(&mut self, option: &str, value: impl Into<OsString>) {
        self.0.push(option.into());
        self.0.push(value.into());
    }

    fn device(&mut self, list: List) {
        self.option("--device", list.0);
    }

    fn machine(&mut self, plan: &LaunchPlan) {
        self.option("--cpus", plan.cpus.to_string());
        self.option("--memory", plan.memory_mib.to_string());
        let loader = List::new("efi").set("variable-store", &plan.firmware_variables);
        self.option("--bootloader", loader.flag("create").0);
    }

    /// The first is the one to boot from. None can be read-only; the seed is made anew at each start.
    fn disks(&mut self, plan: &LaunchPlan, surroundings: &Surroundings<'_>) {
        let disk = |path: &Path| List::new("virtio-blk").set("path", path);
        self.device(disk(&plan.os_disk));
        if let Some(seed) = &plan.seed {
            self.device(disk(seed));
        }
        if let Some(data) = &plan.data_disk
            && surroundings.flavour.capabilities.names_disks
        {
            self.device(disk(data).set("deviceId", DATA_DISK_SERIAL));
        }
    }

    fn rest_of_the_board(&mut self, plan: &LaunchPlan, surroundings: &Surroundings<'_>) {
        self.device(List::new("virtio-rng"));
        if surroundings.balloon {
            self.device(List::new("virtio-balloon"));
        }
        let console = List::new("virtio-serial");
        self.device(console.set("logFilePath", &plan.paths.console_log));
    }

    /// The guest dials its host at these ports, and each connection is one to a socket.
    fn vsock(&mut self, plan: &LaunchPlan, surroundings: &Surroundings<'_>) {
        let ignition = match surroundings.flavour.capabilities.first_boot {
            FirstBootChannel::VsockHttp { port } => Some(port),
            FirstBootChannel::FirmwareConfiguration | FirstBootChannel::Laid => None,
        };
        for port in [VSOCK_PORT].into_iter().chain(ignition) {
            let socket = plan.paths.vsock_port_socket(port);
            let list = List::new("virtio-vsock").set("port", port.to_string());
            self.device(list.set("socketURL", socket).flag("listen"));
        }
    }

    fn network(&mut self, plan: &LaunchPlan) {
        let card = List::new("virtio-net");
        let card = match plan.network {
            NetworkJoint::BuiltIn { .. } => card.flag("nat"),
            // The programs dial; who would be dialled is not offered.
            NetworkJoint::Connects | NetworkJoint::Listens => {
                card.set("unixSocketPath", &plan.paths.network_socket)
            }
        };
        self.device(card.set("mac", address(&plan.paths.control_socket)));
    }

    fn services(&mut self, plan: &LaunchPlan, surroundings: &Surroundings<'_>) {
        if let Some(port) = surroundings.flavour.time_port {
            self.option("--timesync", format!("vsockPort={port}"));
        }
        let mut uri = OsString::from("unix://");
        uri.push(&plan.paths.control_socket);
        self.option("--restful-uri", uri);
        if surroundings.flavour.nested {
            self.0.push("--nested".into());
        }
    }
}

/// The address of the guest's card: the same at each start, so that a network with leases gives it the same one, and
/// another for another machine. Made by whoever administers the card, and of one card (IEEE 802: the lowest two bits of the
/// first byte are 2).
fn address(socket: &Path) -> String {
    let digest = Sha256::digest(socket.as_os_str().as_encoded_bytes());
    let own = [0x5a].into_iter().chain(digest.0.into_iter().take(5));
    let bytes: Vec<String> = own.map(|byte: u8| format!("{byte:02x}")).collect();
    bytes.join(":")
}

#[cfg(test)]
mod tests;
