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

    /// Name of the machine.
    #[arg(hide = true, value_name = "NAME")]
    pub names: Vec<String>,
}
