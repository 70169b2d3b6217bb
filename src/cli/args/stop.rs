//! `machine stop`.

use clap::Args;

use super::DEFAULT_HELP;
use super::values::Truth as _;

/// Stop an existing machine
#[derive(Debug, Args)]
#[command(override_usage = "machine stop [options] [NAME]", after_help = DEFAULT_HELP)]
pub struct StopArgs {
    /// Stop all machines
    #[arg(long, truth = Some(false))]
    pub all: bool,

    /// Stop without the guest's help
    #[arg(short, long, truth = Some(false))]
    pub force: bool,

    /// Name of the machine.
    #[arg(hide = true, value_name = "NAME")]
    pub names: Vec<String>,
}
