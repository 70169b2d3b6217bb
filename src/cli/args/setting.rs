//! What a machine is like: settings that `machine init` gives it and `machine set` changes.

use clap::Args;

use super::values::{self, Truth as _};
use crate::machine::{Network, Vsock};

/// The settings. Those that are not given are left as they are, or to the configuration files.
#[derive(Clone, Debug, Default, Args)]
pub struct SettingArgs {
    /// Number of CPUs
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = values::unsigned)]
    pub cpus: Option<u64>,

    /// Memory in MiB
    #[arg(short, long, value_name = "MIB", allow_hyphen_values = true, value_parser = values::unsigned)]
    pub memory: Option<u64>,

    /// Compressed swap space in MiB, 0 for none
    #[arg(short, long, value_name = "MIB", allow_hyphen_values = true, value_parser = values::unsigned)]
    pub swap: Option<u64>,

    /// Let the machine's socket lead to the engine of root
    #[arg(long, truth = None)]
    pub rootful: Option<bool>,

    /// What carries the machine's packets: `built-in` for the hypervisor's own network, `passt`, `gvproxy`, or `auto`
    /// for the first of these that can do what else is asked for
    #[arg(
        long,
        value_name = "auto|built-in|passt|gvproxy",
        allow_hyphen_values = true
    )]
    pub network: Option<Network>,

    /// Let the guest reach what listens on the host's loopback, as it does unless this is false
    #[arg(long, truth = None)]
    pub host_loopback: Option<bool>,

    /// Let servers of the guest and of containers with `--network host` be ports of the host's loopback
    #[arg(long, truth = None)]
    pub forward_listeners: Option<bool>,

    /// Vsock beside virtio-serial: `auto` for the host kernel's where there is one, `user` for the program
    /// vhost-device-vsock, used when virtio-serial is lost, `user-first` for using it before, or `off`
    #[arg(
        long,
        value_name = "auto|user|user-first|off",
        allow_hyphen_values = true
    )]
    pub vsock: Option<Vsock>,

    /// Let the machine trust the certificate authorities that the host trusts
    #[arg(long, truth = None)]
    pub import_native_ca: Option<bool>,

    /// USB devices of the host; none can be passed through yet.
    #[arg(long, hide = true, value_name = "DEVICE", allow_hyphen_values = true)]
    pub usb: Vec<String>,

    /// Of WSL; ignored elsewhere, as podman does.
    #[arg(long, hide = true, truth = None)]
    pub user_mode_networking: Option<bool>,
}
