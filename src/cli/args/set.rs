//! `machine set`.

use clap::Args;

use super::DEFAULT_HELP;
use super::setting::SettingArgs;
use super::values;

/// Change the settings of a machine
#[derive(Debug, Args)]
#[command(override_usage = "machine set [options] [NAME]", after_help = DEFAULT_HELP)]
pub struct SetArgs {
    /// What the machine is like.
    #[command(flatten)]
    pub setting: SettingArgs,

    /// Size of the data disk in GiB; a disk can only grow
    #[arg(long, value_name = "GIB", allow_hyphen_values = true, value_parser = values::unsigned)]
    pub disk_size: Option<u64>,

    /// Socket of the host that the machine can use, `HOST:GUEST`, each an absolute path, instead of all that were; `ssh-agent`
    /// as HOST is the SSH agent of whoever starts the machine; "" for none
    #[arg(long, value_name = "HOST:GUEST", allow_hyphen_values = true)]
    pub forward_socket: Vec<String>,

    /// Time zone such as Europe/Berlin, or `local` for the host's
    #[arg(
        long,
        alias = "time-zone",
        value_name = "ZONE",
        allow_hyphen_values = true
    )]
    pub timezone: Option<String>,

    /// Folder of the host to share from the next start on, `SOURCE[:TARGET[:ro|watch]]`, instead of all that were; "" for none
    #[arg(short, long, value_name = "FOLDER", allow_hyphen_values = true)]
    pub volume: Vec<String>,

    /// Name of the machine.
    #[arg(hide = true, value_name = "NAME")]
    pub names: Vec<String>,
}
