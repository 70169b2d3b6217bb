//! `machine init`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::DEFAULT_HELP;
use super::image::FetchArgs;
use super::setting::SettingArgs;
use super::values::{self, Truth as _};

/// Initialize a virtual machine
#[derive(Debug, Args)]
#[command(override_usage = "machine init [options] [NAME]", after_help = DEFAULT_HELP)]
pub struct InitArgs {
    /// What the machine is like.
    #[command(flatten)]
    pub setting: SettingArgs,

    /// File that becomes the machine's data disk and stays where it is, such as one that `machine rm --keep-data` kept: a
    /// raw disk. Without it the machine gets a new one, which is removed with it
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub data_disk: Option<PathBuf>,

    /// Size of the data disk in GiB, where containers, images and volumes are
    #[arg(long, value_name = "GIB", allow_hyphen_values = true, value_parser = values::unsigned)]
    pub disk_size: Option<u64>,

    /// Socket of the host that the machine can use, `HOST:GUEST`, each an absolute path; `ssh-agent` as HOST is the SSH agent
    /// of whoever starts the machine
    #[arg(long, value_name = "HOST:GUEST", allow_hyphen_values = true)]
    pub forward_socket: Vec<String>,

    /// Bootable image for the machine: a stream of Fedora CoreOS (`stable`, `testing`, `next`) or a release of one
    /// (`stable@44.20261101.3.0`), an artifact (`docker://…`), a URL, or a file: qcow2 or raw, plain or packed
    #[arg(long, value_name = "IMAGE", allow_hyphen_values = true)]
    pub image: Option<OsString>,

    /// The old name of `--image`.
    #[arg(long, hide = true, value_name = "FILE", allow_hyphen_values = true)]
    pub image_path: Option<OsString>,

    /// Path to an Ignition file.
    #[arg(long, hide = true, value_name = "FILE", allow_hyphen_values = true)]
    pub ignition_path: Option<OsString>,

    /// Start the machine now
    #[arg(long, truth = Some(false))]
    pub now: bool,

    /// Path to an Ansible playbook.
    #[arg(long, hide = true, value_name = "FILE", allow_hyphen_values = true)]
    pub playbook: Option<OsString>,

    /// What runs the machine
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    pub provider: Option<String>,

    /// Time zone of the machine, e.g. Europe/Berlin, or `local` for the host's
    #[arg(long, value_name = "ZONE", allow_hyphen_values = true)]
    pub timezone: Option<String>,

    /// Make it podman's default connection, with --now
    #[arg(short, long, truth = None)]
    pub update_connection: Option<bool>,

    /// Name of the user in the machine
    #[arg(long, value_name = "USER", allow_hyphen_values = true)]
    pub username: Option<String>,

    /// Folder of the host to share, `SOURCE[:TARGET[:ro|watch]]`, instead of the home directory; "" for none
    #[arg(short, long, value_name = "FOLDER", allow_hyphen_values = true)]
    pub volume: Vec<String>,

    /// Ignored, as podman does.
    #[arg(long, hide = true, value_name = "DRIVER", allow_hyphen_values = true)]
    pub volume_driver: Option<String>,

    /// How the image is fetched.
    #[command(flatten)]
    pub fetch: FetchArgs,

    /// Name of the machine.
    #[arg(hide = true, value_name = "NAME")]
    pub names: Vec<String>,
}
