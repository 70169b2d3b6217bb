//! What tells vfkit and krunkit apart, as data. From doc/usage.md of crc-org/vfkit and docs/usage.md of
//! containers/krunkit.

use machine_images::ImageForm;

use crate::machine::{DiskFormat, Egress, NetworkOffer, NetworkSocket, ProviderKind};
use crate::provider::version::Version;
use crate::provider::{Capabilities, CarrierKind, FirstBootChannel, SeedForm, StockImages};

/// The vsock port at which Ignition asks on the platforms `applehv` and `libkrun`.
const IGNITION_PORT: u32 = 1024;

/// The vsock port of the guest at which podman's images have a qemu-guest-agent, which vfkit tells the time after the host
/// has slept. Where none listens nothing happens.
const GUEST_AGENT_PORT: u32 = 1234;

/// One of the two programs.
#[derive(Debug)]
pub(super) struct Flavour {
    /// The word under which the registry has it.
    pub(super) kind: ProviderKind,
    /// Its name.
    pub(super) program: &'static str,
    /// What stands before the number where it tells its version.
    pub(super) greeting: &'static str,
    /// The oldest that is known to take the arguments.
    pub(super) minimum: Version,
    /// How to get one.
    pub(super) install: &'static str,
    /// How to get a newer one.
    pub(super) upgrade: &'static str,
    /// What its VMs can do.
    pub(super) capabilities: Capabilities,
    /// The first version that gives the guest a balloon.
    pub(super) balloon_since: Option<Version>,
    /// Where it tells a guest agent the time.
    pub(super) time_port: Option<u32>,
    /// Whether its guests can run virtual machines where the processor can: vfkit refuses to start elsewhere.
    pub(super) nested: bool,
    /// Whether its REST service ends a VM without asking the guest. Otherwise a signal does.
    pub(super) has_hard_stop: bool,
    /// Whether its VMs can be paused, and its service says so.
    pub(super) can_pause: bool,
    /// Characters that have a meaning where it reads a path.
    pub(super) unspeakable: &'static [char],
    /// The same where it reads the path of a socket.
    pub(super) unspeakable_in_sockets: &'static [char],
    /// What it says when its VM has ended at somebody's wish.
    pub(super) farewell: Option<&'static str>,
}

/// What Apple's framework gives, as vfkit passes it on.
const CAPABILITIES: Capabilities = Capabilities {
    carriers: &[CarrierKind::Vsock],
    disk_formats: &[DiskFormat::Raw],
    stock_images: StockImages {
        platform: "applehv",
        disktype: "applehv",
        formats: &["raw.gz"],
        form: ImageForm::Disk,
    },
    can_layer_disks: false,
    first_boot: FirstBootChannel::VsockHttp {
        port: IGNITION_PORT,
    },
    network: NetworkOffer {
        egress: &[Egress::Gvproxy, Egress::BuiltIn],
        socket: NetworkSocket::Datagram,
        own_addresses: true,
    },
    names_disks: true,
    seed: SeedForm::Disk,
    has_first_boot_journal: false,
    has_console_log: true,
    has_translator: true,
    can_attach: true,
    can_suspend: false,
    shared_resources: None,
};

/// vfkit.
pub(super) static VFKIT: Flavour = Flavour {
    kind: ProviderKind::AppleHv,
    program: "vfkit",
    greeting: "vfkit version: v",
    // The first whose REST service tells what the machine can do, and the one that podman 5 came with.
    minimum: Version(0, 6, 0),
    install: "Install it with `brew install vfkit`",
    upgrade: "Install a newer one with `brew upgrade vfkit`",
    capabilities: CAPABILITIES,
    balloon_since: Some(Version(0, 6, 1)),
    time_port: Some(GUEST_AGENT_PORT),
    nested: false,
    has_hard_stop: true,
    can_pause: true,
    unspeakable: &[','],
    // It reads them as parts of URLs.
    unspeakable_in_sockets: &[',', '%', '?', '#'],
    farewell: Some("VM is stopped"),
};

/// krunkit.
pub(super) static KRUNKIT: Flavour = Flavour {
    kind: ProviderKind::LibKrun,
    program: "krunkit",
    greeting: "krunkit ",
    // The one whose documentation the arguments follow.
    minimum: Version(1, 2, 0),
    install: "Install it with `brew install krunkit`; it needs a Mac with a processor of Apple's",
    upgrade: "Install a newer one with `brew upgrade krunkit`",
    capabilities: Capabilities {
        network: NetworkOffer {
            egress: &[Egress::Gvproxy],
            own_addresses: false,
            ..CAPABILITIES.network
        },
        // libkrun makes up the numbers.
        names_disks: false,
        has_translator: false,
        ..CAPABILITIES
    },
    balloon_since: None,
    time_port: None,
    nested: true,
    has_hard_stop: false,
    can_pause: false,
    unspeakable: &[',', '='],
    unspeakable_in_sockets: &[',', '='],
    farewell: None,
};
