//! `machine stop`.

use clap::Args;

use super::DEFAULT_HELP;

/// Stop an existing machine
#[derive(Debug, Args)]
#[command(override_usage = "machine stop [options] [NAME]", after_help = DEFAULT_HELP)]
pub struct StopArgs {
    /// Name of the machine.
    #[arg(hide = true, value_name = "NAME")]
    pub names: Vec<String>,
}
