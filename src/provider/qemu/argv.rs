//! From a plan to QEMU's arguments. Pure.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use machine_host::facts::Architecture;
use machine_protocol::boot::DATA_DISK_SERIAL;

use crate::machine::{DiskFormat, GuestNetwork};
use crate::provider::qemu::options::OptionValue;
use crate::provider::{Accelerator, LaunchPlan, NetworkJoint, VsockDevice};

/// The id of the device that is the link's port; the monitor's events name it.
pub(super) const LINK_DEVICE: &str = "link0";
/// The id of the link's character device; the monitor tells by it whether the guest has the port open.
pub(super) const LINK_CHARDEV: &str = "link";
/// Ignition's name for the port that takes the journal of a failed first boot.
const JOURNAL_PORT: &str = "com.coreos.ignition.journal";
/// Ignition's name for its configuration.
const IGNITION_FILE: &str = "opt/com.coreos/config";

/// The name of the memory that is shared with other processes.
const MEMORY: &str = "memory";

/// What the arguments depend on besides the plan.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// The architecture of host and guest.
    pub architecture: Architecture,
    /// What runs the guest.
    pub accelerator: Accelerator,
    /// How it emulates.
    pub emulation: Emulation,
    /// The UEFI image, where QEMU's own default is not used.
    pub firmware: Option<&'a Path>,
    /// The number under which QEMU inherits the listening socket of its monitor.
    pub control_fd: i32,
    /// The number under which QEMU inherits the listening socket of the link.
    pub link_fd: i32,
    /// The vsock device, if there is one.
    pub vsock: Option<VsockArguments>,
    /// The number under which QEMU inherits its end of the network: a socket that listens, or a connection.
    pub network_fd: Option<i32>,
    /// The folders of the host.
    pub shares: &'a [ShareArguments],
    /// Whether QEMU may confine itself, which it can on Linux.
    pub sandbox: bool,
}

/// The guest's vsock device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VsockArguments {
    /// Who it is.
    pub device: VsockDevice,
    /// The number under which QEMU inherits the kernel's device, or a connection to the program.
    pub fd: i32,
}

/// A folder of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareArguments {
    /// The name under which the guest finds it.
    pub tag: String,
    /// How it has it.
    pub device: ShareDevice,
}

/// How a guest has a folder of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShareDevice {
    /// By a program, to which QEMU inherits a connection under this number.
    Virtiofs {
        /// The number.
        fd: i32,
    },
    /// By QEMU itself.
    NineP {
        /// The folder.
        source: PathBuf,
        /// Whether the guest can change nothing in it.
        read_only: bool,
    },
}

/// The arguments that follow the program's name.
pub fn arguments(plan: &LaunchPlan, surroundings: &Surroundings<'_>) -> Vec<OsString> {
    let mut arguments = Arguments::default();
    arguments.process(plan, surroundings);
    arguments.board(plan, surroundings);
    arguments.monitor(surroundings);
    arguments.disks(plan);
    arguments.ports(plan, surroundings);
    arguments.vsock(surroundings);
    arguments.shares(surroundings);
    arguments.ignition(plan);
    arguments.network(plan, surroundings);
    arguments.rest();
    arguments.0
}

/// The board: the same for the probe as for a machine. Without graphics `SeaBIOS` writes to the serial port, so that
/// "No bootable device" stands in the console log.
pub(super) fn machine_type(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::X86_64 => "q35,vmport=off,graphics=off",
        Architecture::Aarch64 => "virt,gic-version=max",
    }
}

/// How the guest's processors are emulated, where they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Emulation {
    /// How many threads of the host do it.
    pub threads: EmulationThreads,
    /// Whether an x86 processor has the instruction `cmpxchg16b`.
    pub cx16: bool,
}

/// How many threads of the host emulate the guest's processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmulationThreads {
    /// One for all of them, in turn.
    One,
    /// One for each.
    PerProcessor,
}

impl EmulationThreads {
    fn word(self) -> &'static str {
        match self {
            Self::One => "single",
            Self::PerProcessor => "multi",
        }
    }
}

/// The accelerator and the processor: the same for the probe as for a machine, or the probe would prove nothing.
/// `emulation` counts for the accelerator TCG alone.
pub(super) fn accelerator(
    architecture: Architecture,
    accelerator: Accelerator,
    emulation: Emulation,
) -> [OsString; 4] {
    let option = match accelerator {
        Accelerator::Tcg => OptionValue::new("tcg").set("thread", emulation.threads.word()),
        Accelerator::Whpx => OptionValue::new("whpx").set("kernel-irqchip", "off"),
        Accelerator::Kvm | Accelerator::Hvf => OptionValue::new(accelerator.word()),
    };
    let cpu = match (accelerator, architecture) {
        (Accelerator::Kvm | Accelerator::Hvf, _) => "host",
        // Emulating the architected algorithm of pointer authentication takes half of the time of a boot.
        (Accelerator::Tcg, Architecture::Aarch64) => "max,pauth-impdef=on",
        (Accelerator::Tcg, Architecture::X86_64) if !emulation.cx16 => "max,-cx16",
        (Accelerator::Whpx | Accelerator::Tcg, _) => "max",
    };
    [
        "-accel".into(),
        option.into_os_string(),
        "-cpu".into(),
        cpu.into(),
    ]
}

impl Surroundings<'_> {
    fn shares_memory(&self) -> bool {
        let by_program =
            |share: &ShareArguments| matches!(share.device, ShareDevice::Virtiofs { .. });
        self.vsock
            .is_some_and(|vsock| vsock.device == VsockDevice::Program)
            || self.shares.iter().any(by_program)
    }
}

#[derive(Debug, Default)]
struct Arguments(Vec<OsString>);

impl Arguments {
    fn flag(&mut self, flag: &str) {
        self.0.push(flag.into());
    }

    fn word(&mut self, flag: &str, word: impl Into<OsString>) {
        self.flag(flag);
        self.0.push(word.into());
    }

    fn option(&mut self, flag: &str, value: OptionValue) {
        self.word(flag, value.into_os_string());
    }

    /// What the process is and may do, none of it seen by the guest.
    fn process(&mut self, plan: &LaunchPlan, surroundings: &Surroundings<'_>) {
        let title = format!("machine-{}", plan.name);
        self.option(
            "-name",
            OptionValue::with("guest", &title)
                .set("process", &title)
                .set("debug-threads", "on"),
        );
        // Neither a configuration of the user nor a device that we did not name.
        self.flag("-no-user-config");
        self.flag("-nodefaults");
        self.word("-display", "none");
        if surroundings.sandbox {
            self.option(
                "-sandbox",
                OptionValue::new("on")
                    .set("obsolete", "deny")
                    .set("elevateprivileges", "deny")
                    .set("spawn", "deny")
                    .set("resourcecontrol", "deny"),
            );
        }
    }

    /// Board, processors, memory, firmware.
    fn board(&mut self, plan: &LaunchPlan, surroundings: &Surroundings<'_>) {
        let mut machine = machine_type(surroundings.architecture).to_owned();
        if surroundings.shares_memory() {
            // A device that is another process reads and writes the guest's memory.
            self.option(
                "-object",
                OptionValue::new("memory-backend-memfd")
                    .set("id", MEMORY)
                    .set("size", format!("{}M", plan.memory_mib))
                    .set("share", "on"),
            );
            machine.push_str(",memory-backend=");
            machine.push_str(MEMORY);
        }
        self.word("-machine", machine);
        self.0.extend(accelerator(
            surroundings.architecture,
            surroundings.accelerator,
            surroundings.emulation,
        ));
        self.word("-smp", plan.cpus.to_string());
        self.word("-m", format!("{}M", plan.memory_mib));
        if let Some(firmware) = surroundings.firmware {
            self.word("-bios", firmware.as_os_str());
        }
    }

    fn monitor(&mut self, surroundings: &Surroundings<'_>) {
        self.option(
            "-chardev",
            inherited_listener("monitor", surroundings.control_fd),
        );
        self.option(
            "-mon",
            OptionValue::with("chardev", "monitor").set("mode", "control"),
        );
    }

    fn disks(&mut self, plan: &LaunchPlan) {
        self.option(
            "-blockdev",
            OptionValue::with("node-name", "os-file")
                .set("driver", "file")
                .set("filename", &plan.os_disk)
                .set("discard", "unmap"),
        );
        let mut os = OptionValue::with("node-name", "os")
            .set("driver", format_driver(plan.os_disk_format))
            .set("file", "os-file");
        // Named here, so that the name in the disk's header is never followed.
        if let Some((base, format)) = &plan.os_base {
            self.read_only_disk("base", base, *format);
            os = os.set("backing", "base");
        }
        let os = os.set("discard", "unmap").set("detect-zeroes", "unmap");
        self.option("-blockdev", os);
        // bootindex: without one SeaBIOS may boot the seed, whose boot sector hangs it; index 0 is taken where a kernel
        // is given. werror, rerror: a full disk of the host pauses the VM instead of failing the guest's writes.
        self.option(
            "-device",
            OptionValue::new("virtio-blk-pci")
                .set("id", "os0")
                .set("drive", "os")
                .set("serial", "machine-os")
                .set("bootindex", "1")
                .set("werror", "stop")
                .set("rerror", "stop"),
        );
        if let Some(data) = &plan.data_disk {
            self.data_disk(data);
        }
        if let Some(seed) = &plan.seed {
            self.read_only_disk("seed", seed, DiskFormat::Raw);
            self.option(
                "-device",
                OptionValue::new("virtio-blk-pci")
                    .set("id", "seed0")
                    .set("drive", "seed")
                    .set("serial", "machine-seed"),
            );
        }
    }

    /// The disk for what the engines keep. As that with the operating system, so that what the guest discards is given back
    /// to the host, and a full disk of the host pauses the VM.
    fn data_disk(&mut self, path: &Path) {
        self.option(
            "-blockdev",
            OptionValue::with("node-name", "data-file")
                .set("driver", "file")
                .set("filename", path)
                .set("discard", "unmap"),
        );
        // Never found out from the content: the guest writes that.
        self.option(
            "-blockdev",
            OptionValue::with("node-name", "data")
                .set("driver", "raw")
                .set("file", "data-file")
                .set("discard", "unmap")
                .set("detect-zeroes", "unmap"),
        );
        self.option(
            "-device",
            OptionValue::new("virtio-blk-pci")
                .set("id", "data0")
                .set("drive", "data")
                .set("serial", DATA_DISK_SERIAL)
                .set("werror", "stop")
                .set("rerror", "stop"),
        );
    }

    /// A file that the VM reads as a disk and never writes.
    fn read_only_disk(&mut self, node: &str, path: &Path, format: DiskFormat) {
        let file = format!("{node}-file");
        self.option(
            "-blockdev",
            OptionValue::with("node-name", &file)
                .set("driver", "file")
                .set("filename", path)
                .set("read-only", "on"),
        );
        self.option(
            "-blockdev",
            OptionValue::with("node-name", node)
                .set("driver", format_driver(format))
                .set("file", &file)
                .set("read-only", "on"),
        );
    }

    /// Console, link and the journal of the first boot.
    fn ports(&mut self, plan: &LaunchPlan, surroundings: &Surroundings<'_>) {
        self.option(
            "-chardev",
            OptionValue::new("file")
                .set("id", "console")
                .set("path", &plan.paths.console_log),
        );
        self.word("-serial", "chardev:console");
        self.option(
            "-device",
            OptionValue::new("virtio-serial-pci").set("id", "ports0"),
        );
        self.option(
            "-chardev",
            inherited_listener(LINK_CHARDEV, surroundings.link_fd),
        );
        // The id is what makes QEMU report that the guest opens and closes the port.
        self.option(
            "-device",
            OptionValue::new("virtserialport")
                .set("id", LINK_DEVICE)
                .set("bus", "ports0.0")
                .set("chardev", LINK_CHARDEV)
                .set("name", &plan.link_port),
        );
        self.option(
            "-chardev",
            OptionValue::new("file")
                .set("id", "journal")
                .set("path", &plan.first_boot_journal),
        );
        self.option(
            "-device",
            OptionValue::new("virtserialport")
                .set("id", "journal0")
                .set("bus", "ports0.0")
                .set("chardev", "journal")
                .set("name", JOURNAL_PORT),
        );
    }

    fn vsock(&mut self, surroundings: &Surroundings<'_>) {
        let Some(VsockArguments { device, fd }) = surroundings.vsock else {
            return;
        };
        match device {
            VsockDevice::Kernel { cid } => self.option(
                "-device",
                OptionValue::new("vhost-vsock-pci")
                    .set("id", "vsock0")
                    .set("guest-cid", cid.to_string())
                    .set("vhostfd", fd.to_string()),
            ),
            VsockDevice::Program => {
                self.option(
                    "-chardev",
                    OptionValue::new("socket")
                        .set("id", "vsock")
                        .set("fd", fd.to_string()),
                );
                self.option(
                    "-device",
                    OptionValue::new("vhost-user-vsock-pci")
                        .set("id", "vsock0")
                        .set("chardev", "vsock"),
                );
            }
        }
    }

    fn shares(&mut self, surroundings: &Surroundings<'_>) {
        for (number, ShareArguments { tag, device }) in surroundings.shares.iter().enumerate() {
            let id = format!("share{number}");
            match device {
                ShareDevice::Virtiofs { fd } => {
                    self.option(
                        "-chardev",
                        OptionValue::new("socket")
                            .set("id", &id)
                            .set("fd", fd.to_string()),
                    );
                    // The longest queue that virtiofsd takes; QEMU's own is 128, which many small files fill.
                    self.option(
                        "-device",
                        OptionValue::new("vhost-user-fs-pci")
                            .set("id", format!("fs{number}"))
                            .set("chardev", &id)
                            .set("tag", tag)
                            .set("queue-size", "1024"),
                    );
                }
                ShareDevice::NineP { source, read_only } => {
                    // none: owners that cannot be set stay as they are. `mapped` would keep them, and would make
                    // links and modes that the host's own programs do not see. remap: a folder may span file systems.
                    let folder = OptionValue::new("local")
                        .set("id", &id)
                        .set("path", source)
                        .set("security_model", "none")
                        .set("multidevs", "remap");
                    let folder = if *read_only {
                        folder.set("readonly", "on")
                    } else {
                        folder
                    };
                    self.option("-fsdev", folder);
                    self.option(
                        "-device",
                        OptionValue::new("virtio-9p-pci")
                            .set("id", format!("fs{number}"))
                            .set("fsdev", &id)
                            .set("mount_tag", tag),
                    );
                }
            }
        }
    }

    fn ignition(&mut self, plan: &LaunchPlan) {
        if let Some(ignition) = &plan.ignition {
            self.option(
                "-fw_cfg",
                OptionValue::with("name", IGNITION_FILE).set("file", ignition),
            );
        }
    }

    fn network(&mut self, plan: &LaunchPlan, surroundings: &Surroundings<'_>) {
        let netdev = match (plan.network, surroundings.network_fd) {
            (NetworkJoint::BuiltIn { network, ipv6 }, _) => Some(built_in_network(&network, ipv6)),
            (NetworkJoint::Listens, Some(fd)) => Some(stream_network("on", fd)),
            (NetworkJoint::Connects, Some(fd)) => Some(stream_network("off", fd)),
            (NetworkJoint::Listens | NetworkJoint::Connects, None) => None,
        };
        let Some(netdev) = netdev else { return };
        self.option("-netdev", netdev);
        // By name, for a guest without a driver for the default card has no network and no error; without the ROM that
        // would try to boot from the network.
        self.option(
            "-device",
            OptionValue::new("virtio-net-pci")
                .set("id", "nic0")
                .set("netdev", "net0")
                .set("romfile", ""),
        );
    }

    fn rest(&mut self) {
        self.option("-object", OptionValue::new("rng-builtin").set("id", "rng0"));
        self.option(
            "-device",
            OptionValue::new("virtio-rng-pci").set("rng", "rng0"),
        );
        // Memory that the guest has freed goes back to the host.
        self.option(
            "-device",
            OptionValue::new("virtio-balloon-pci").set("free-page-reporting", "on"),
        );
        // A panic of the guest's kernel becomes an event, and the end of the VM.
        self.word("-device", "pvpanic-pci");
    }
}

/// QEMU's own network. It would give a guest IPv6 addresses that lead nowhere on a host without.
fn built_in_network(network: &GuestNetwork, ipv6: bool) -> OptionValue {
    OptionValue::new("user")
        .set("id", "net0")
        .set("net", format!("{}/{}", network.first, network.prefix))
        .set("host", network.host.to_string())
        .set("dns", network.name_server.to_string())
        .set("dhcpstart", network.guest.to_string())
        // Without this one, IPv6 alone is what `ipv6=on` means to QEMU.
        .set("ipv4", "on")
        .set("ipv6", if ipv6 { "on" } else { "off" })
}

/// Packets over a socket. One that listens takes a new client whenever it has lost the one of before.
fn stream_network(server: &str, fd: i32) -> OptionValue {
    OptionValue::new("stream")
        .set("id", "net0")
        .set("server", server)
        .set("addr.type", "fd")
        .set("addr.str", fd.to_string())
}

/// A unix socket that we have bound and that listens already, so that a client may connect before QEMU runs.
fn inherited_listener(id: &str, fd: i32) -> OptionValue {
    OptionValue::new("socket")
        .set("id", id)
        .set("fd", fd.to_string())
        .set("server", "on")
        .set("wait", "off")
}

fn format_driver(format: DiskFormat) -> &'static str {
    match format {
        DiskFormat::Qcow2 => "qcow2",
        // No disk of its is a tar archive, which would be read as it is.
        DiskFormat::Raw | DiskFormat::Tar => "raw",
    }
}

#[cfg(test)]
mod tests;
