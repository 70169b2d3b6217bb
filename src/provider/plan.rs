//! What a provider offers, and what it is told: plain data.

use std::path::PathBuf;

use machine_host::subordinate::IdRange;
use machine_images::ImageForm;
use serde::{Deserialize, Serialize};

use crate::machine::{DiskFormat, GuestNetwork, NetworkOffer, Vsock};

/// What the VMs of a provider can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The ways to reach the agent, best first.
    pub carriers: &'static [CarrierKind],
    /// The formats that the OS disk may have, best first.
    pub disk_formats: &'static [DiskFormat],
    /// How a stream of Fedora CoreOS calls the images for it: the platform, and the formats, best first.
    pub stock_images: StockImages,
    /// Whether the OS disk may be a qcow2 that lies over an image.
    pub can_layer_disks: bool,
    /// How Ignition gets its configuration at the first boot.
    pub first_boot: FirstBootChannel,
    /// How the guest reaches the network.
    pub network: NetworkOffer,
    /// Whether the guest tells its disks apart by serial numbers, without which it has no [`LaunchPlan::data_disk`].
    pub names_disks: bool,
    /// What the agent and the parameters of the boot come in.
    pub seed: SeedForm,
    /// Whether the journal of a failed first boot is written to a file of the host.
    pub has_first_boot_journal: bool,
    /// Whether the guest's console is written to a file of the host.
    pub has_console_log: bool,
    /// Whether guests can have a program of the host's that runs those of x86-64 for them, which is Apple's Rosetta.
    pub has_translator: bool,
    /// Whether the VM process survives its supervisor and can be attached to.
    pub can_attach: bool,
    /// Whether a running VM can be saved and restored.
    pub can_suspend: bool,
    /// Where no VM has CPUs and memory of its own: how the user gives all of them more.
    pub shared_resources: Option<&'static str>,
}

/// What carries the agent and the parameters of a boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeedForm {
    /// A disk with a file system.
    Disk,
    /// A tar archive.
    Archive,
}

/// The images of a stream that a provider takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StockImages {
    /// The name of the platform.
    pub platform: &'static str,
    /// How podman's images in registries call the kind of disk.
    pub disktype: &'static str,
    /// The formats that are unpacked to a disk of one of the provider's formats.
    pub formats: &'static [&'static str],
    /// What a machine of this provider is made of.
    pub form: ImageForm,
}

/// A way to carry bytes between host and guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CarrierKind {
    /// A vsock, by the host's kernel or by a program of its own.
    Vsock,
    /// A named virtio-serial port.
    VirtioSerial,
    /// A program of the host, started for each session, whose standard streams lead to the agent.
    Program,
}

/// How the guest's network card is joined to what carries its packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkJoint {
    /// The hypervisor carries them.
    BuiltIn {
        /// The addresses that it gives.
        network: GuestNetwork,
        /// Whether there is any use in IPv6.
        ipv6: bool,
    },
    /// The hypervisor listens at [`VmPaths::network_socket`], for one program after the other.
    Listens,
    /// The hypervisor gets a connection to the program that listens at [`VmPaths::network_socket`].
    Connects,
}

/// How Ignition gets its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstBootChannel {
    /// QEMU's `fw_cfg` device, by the provider.
    FirmwareConfiguration,
    /// Ignition asks by HTTP at this vsock port of its host. The provider passes that on to the unix socket with this
    /// port behind [`VmPaths::vsock_socket`], where the machine's supervisor answers.
    VsockHttp {
        /// The port.
        port: u32,
    },
    /// There is no Ignition: what it would do is laid into the tree of the image when the machine is made.
    Laid,
}

/// What runs a guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accelerator {
    /// The Linux kernel.
    Kvm,
    /// The macOS kernel.
    Hvf,
    /// Windows.
    Whpx,
    /// Emulation, many times slower.
    Tcg,
}

impl Accelerator {
    /// QEMU's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Hvf => "hvf",
            Self::Whpx => "whpx",
            Self::Tcg => "tcg",
        }
    }

    /// Whether the guest's instructions are emulated, so that deadlines must be longer.
    pub fn is_emulation(self) -> bool {
        self == Self::Tcg
    }
}

/// What [`resolve`](super::Provider::resolve) may use.
#[derive(Clone, Debug, Default)]
pub struct ResolveRequest {
    /// Where verdicts on the host are kept between starts. The file may be missing or broken; its directory must
    /// exist, or nothing is kept.
    pub cache: PathBuf,
    /// Directories that are searched for programs before `PATH`.
    pub program_directories: Vec<PathBuf>,
    /// The vsock that the machine is to have.
    pub vsock: Vsock,
    /// Whether it is to have folders of the host.
    pub shares: bool,
    /// Whether it is to have a translator.
    pub translator: bool,
}

/// What was found on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The program that becomes the VM.
    pub program: PathBuf,
    /// Its version, as it says.
    pub version: String,
    /// What will run the guest's instructions.
    pub accelerator: Accelerator,
    /// The firmware, where the program does not bring its own.
    pub firmware: Option<PathBuf>,
    /// The guest's vsock device, if it is to have one.
    pub vsock: Option<VsockWay>,
    /// How it has folders of the host, if it is to have any.
    pub shares: Option<ShareWay>,
    /// The tag of the folder with the translator, if it is to have one.
    pub translator: Option<String>,
    /// What the user should know, each a sentence.
    pub warnings: Vec<String>,
}

/// What a host offers to VMs, for those who ask why something does not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// The program that becomes a VM.
    pub program: PathBuf,
    /// Its version, as it says.
    pub version: String,
    /// What would run a guest's instructions.
    pub accelerator: Accelerator,
    /// What the user should know of the two, each a sentence: why guests would be emulated is among it.
    pub remarks: Vec<String>,
    /// How guests would have folders of the host.
    pub shares: ShareWay,
    /// What is missing for folders, and how to get it.
    pub share_remark: Option<(String, String)>,
}

/// Who is the guest's vsock device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VsockWay {
    /// The host's kernel. The guest dials a port of the host.
    Kernel,
    /// This program. What the guest dials arrives at unix sockets, see [`VmPaths::vsock_socket`].
    Program(PathBuf),
    /// The VM's own process. What the guest dials arrives at the same sockets.
    BuiltIn,
}

/// How a VM has folders of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShareWay {
    /// virtiofs, by this program, which runs once for each folder.
    Virtiofs(PathBuf),
    /// virtiofs, by the VM's own process.
    BuiltIn,
    /// 9p, by the VM's own process.
    NineP,
}

/// A folder of the host for a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharePlan {
    /// The name under which the guest finds it; at most 31 bytes.
    pub tag: String,
    /// The folder.
    pub source: PathBuf,
    /// Its place in the guest, by which the user knows it.
    pub target: String,
    /// Whether the guest can change nothing in it.
    pub read_only: bool,
    /// The socket of its program, there for a moment of the launch.
    pub socket: PathBuf,
    /// What its program writes to its standard error. Appended to.
    pub log: PathBuf,
}

/// The owners of files in a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuestIds {
    /// The guest's user, who is the host's.
    pub user: u32,
    /// That user's group, which is the group of the host's user.
    pub group: u32,
    /// The ids in which that user's containers live.
    pub sub_ids: IdRange,
}

/// All that makes up one run of a VM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchPlan {
    /// The machine's name, for process lists.
    pub name: String,
    /// Processors.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// The disk to boot from.
    pub os_disk: PathBuf,
    /// Its format. Never found out from the content: the guest writes that.
    pub os_disk_format: DiskFormat,
    /// The image that the disk lies over, and its format.
    pub os_base: Option<(PathBuf, DiskFormat)>,
    /// The raw disk for what the engines keep, which the guest finds by its serial number,
    /// [`DATA_DISK_SERIAL`](machine_protocol::boot::DATA_DISK_SERIAL).
    pub data_disk: Option<PathBuf>,
    /// Where UEFI firmware keeps its variables, for a hypervisor that wants a file for them. Made by the launch where it is
    /// missing.
    pub firmware_variables: PathBuf,
    /// The seed disk, attached read-only where the hypervisor can.
    pub seed: Option<PathBuf>,
    /// The Ignition configuration.
    pub ignition: Option<PathBuf>,
    /// How the guest's network card is joined.
    pub network: NetworkJoint,
    /// The name of the port in the guest that the link runs over.
    pub link_port: String,
    /// Where the guest's first boot writes its journal when it fails. Emptied by the launch.
    pub first_boot_journal: PathBuf,
    /// Folders of the host.
    pub shares: Vec<SharePlan>,
    /// The tag of the folder with the translator.
    pub translator: Option<String>,
    /// Who owns files in them.
    pub guest_ids: GuestIds,
    /// The files by which the VM is reached and observed later.
    pub paths: VmPaths,
}

/// The files by which a running VM is reached and observed; enough to [attach](super::Provider::attach) to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VmPaths {
    /// The socket of the hypervisor's monitor.
    pub control_socket: PathBuf,
    /// The socket of the link.
    pub link_socket: PathBuf,
    /// The stem of the sockets of a vsock by a program or by the VM's own process: `STEM_PORT` is where connections
    /// arrive that the guest makes to a port of its host.
    pub vsock_socket: PathBuf,
    /// The socket between the hypervisor and that program.
    pub vsock_device_socket: PathBuf,
    /// What that program writes to its standard error. Appended to.
    pub vsock_log: PathBuf,
    /// The socket between the hypervisor and the program that carries the guest's packets.
    pub network_socket: PathBuf,
    /// The guest's console. Emptied by the launch.
    pub console_log: PathBuf,
    /// What the VM's program writes to its standard error. Appended to.
    pub vm_log: PathBuf,
    /// A directory that is the provider's alone, for a hypervisor that keeps a system itself: what it was given to keep is
    /// noted there. Made by the launch where it is needed.
    pub own_directory: PathBuf,
    /// Where the processes of a launch are [noted](super::launching) that has not come to its end.
    pub launch_note: PathBuf,
}

impl VmPaths {
    /// Where connections arrive that the guest makes to this vsock port of its host.
    pub fn vsock_port_socket(&self, port: u32) -> PathBuf {
        let mut path = self.vsock_socket.as_os_str().to_owned();
        path.push(format!("_{port}"));
        path.into()
    }
}

/// What tests of providers launch.
#[cfg(test)]
pub(crate) mod testing {
    use std::path::Path;

    use super::*;

    /// A machine called `test` with all of its files in one directory.
    pub(crate) fn plan(home: &Path) -> LaunchPlan {
        let file = |name: &str| home.join(name);
        LaunchPlan {
            name: "test".to_owned(),
            cpus: 1,
            memory_mib: 64,
            os_disk: file("disk.qcow2"),
            os_disk_format: DiskFormat::Qcow2,
            os_base: None,
            data_disk: None,
            firmware_variables: file("efi-variables"),
            seed: Some(file("seed.img")),
            ignition: Some(file("ignition.json")),
            network: NetworkJoint::BuiltIn {
                network: GuestNetwork {
                    first: [10, 0, 2, 0].into(),
                    prefix: 24,
                    host: [10, 0, 2, 2].into(),
                    name_server: [10, 0, 2, 3].into(),
                    guest: [10, 0, 2, 15].into(),
                },
                ipv6: true,
            },
            link_port: "machine.link.0".to_owned(),
            first_boot_journal: file("first-boot-journal.log"),
            shares: Vec::new(),
            translator: None,
            guest_ids: GuestIds {
                user: 1000,
                group: 1000,
                sub_ids: IdRange {
                    first: 100_000,
                    count: 1_000_000,
                },
            },
            paths: VmPaths {
                control_socket: file("qmp.sock"),
                link_socket: file("link.sock"),
                vsock_socket: file("vsock.sock"),
                vsock_device_socket: file("vhost-vsock.sock"),
                vsock_log: file("vsock.log"),
                network_socket: file("network.sock"),
                console_log: file("console.log"),
                vm_log: file("vm.log"),
                own_directory: file("provider"),
                launch_note: file("launch.json"),
            },
        }
    }
}
