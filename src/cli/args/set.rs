//! `machine set`.

use clap::{ArgAction, Args};

use super::DEFAULT_HELP;
use super::values::{self, Truth as _};
use crate::machine::{Network, Vsock};

/// Change the settings of a machine
#[derive(Debug, Args)]
#[command(override_usage = "machine set [options] [NAME]", after_help = DEFAULT_HELP)]
pub struct SetArgs {
    /// Number of CPUs
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = values::unsigned)]
    pub cpus: Option<u64>,

    /// Size of the data disk in GiB; a disk can only grow
    #[arg(long, value_name = "GIB", allow_hyphen_values = true, value_parser = values::unsigned)]
    pub disk_size: Option<u64>,

    /// Socket of the host that the machine can use, `HOST:GUEST`, each an absolute path, instead of all that were; `ssh-agent`
    /// as HOST is the SSH agent of whoever starts the machine; "" for none
    #[arg(long, value_name = "HOST:GUEST", allow_hyphen_values = true)]
    pub forward_socket: Vec<String>,
    /// Let servers of the guest and of containers with `--network host` be ports of the host's loopback
    #[arg(long, truth = None)]
    pub forward_listeners: Option<bool>,

    /// Let the guest reach what listens on the host's loopback, as it does unless this is false
    #[arg(long, truth = None)]
    pub host_loopback: Option<bool>,

    /// Let the machine trust the certificate authorities of the host
    #[arg(long, truth = None)]
    pub import_native_ca: Option<bool>,

    /// Memory in MiB
    #[arg(short, long, value_name = "MIB", allow_hyphen_values = true, value_parser = values::unsigned)]
    pub memory: Option<u64>,

    /// What carries the machine's packets: `built-in` for the hypervisor's own network, `passt`, `gvproxy`, or `auto`
    /// for the first of these that can do what else is asked for
    #[arg(
        long,
        value_name = "auto|built-in|passt|gvproxy",
        allow_hyphen_values = true
    )]
    pub network: Option<Network>,

    /// Let the machine's socket lead to the engine of root
    #[arg(long, truth = None)]
    pub rootful: Option<bool>,

    /// Swap in MiB; 0 is none
    #[arg(short, long, value_name = "MIB", allow_hyphen_values = true, value_parser = values::unsigned)]
    pub swap: Option<u64>,

    /// Time zone such as Europe/Berlin, or `local` for the host's
    #[arg(
        long,
        alias = "time-zone",
        value_name = "ZONE",
        allow_hyphen_values = true
    )]
    pub timezone: Option<String>,

    /// USB devices; none can be passed through yet.
    #[arg(long, hide = true, value_name = "DEVICE", action = ArgAction::Append, allow_hyphen_values = true)]
    pub usb: Vec<String>,

    /// Taken as podman takes it where it has no meaning.
    #[arg(long, hide = true, truth = None)]
    pub user_mode_networking: Option<bool>,

    /// Folder of the host to share from the next start on, `SOURCE[:TARGET[:ro]]`, instead of all that were; "" for none
    #[arg(short, long, value_name = "FOLDER", allow_hyphen_values = true)]
    pub volume: Vec<String>,

    /// Vsock beside virtio-serial: `auto` for the host kernel's where there is one, `user` for the program
    /// vhost-device-vsock, used when virtio-serial is lost, `user-first` for using it before, or `off`
    #[arg(
        long,
        value_name = "auto|user|user-first|off",
        allow_hyphen_values = true
    )]
    pub vsock: Option<Vsock>,

    /// Name of the machine.
    #[arg(hide = true, value_name = "NAME")]
    pub names: Vec<String>,
}
