//! `machine rm`.

use clap::Args;

use super::DEFAULT_HELP;
use super::values::Truth as _;

/// Remove an existing machine
#[derive(Debug, Args)]
#[command(override_usage = "machine rm [options] [NAME]", after_help = DEFAULT_HELP)]
pub struct RmArgs {
    /// Stop the machine if it runs, and do not ask
    #[arg(short, long, truth = Some(false))]
    pub force: bool,

    /// Keep the machine's data disk, with its images, containers and volumes
    #[arg(long, truth = Some(false))]
    pub keep_data: bool,

    /// Name of the machine.
    #[arg(hide = true, value_name = "NAME")]
    pub names: Vec<String>,
}
