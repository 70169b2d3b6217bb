//! `machine inspect`.

use clap::Args;

use super::DEFAULT_HELP;

/// Inspect existing machines
#[derive(Debug, Args)]
#[command(override_usage = "machine inspect [options] [NAME...]", after_help = DEFAULT_HELP)]
pub struct InspectArgs {
    /// Format the output by a Go template
    #[arg(long, value_name = "FORMAT", allow_hyphen_values = true)]
    pub format: Option<String>,

    /// Names of the machines.
    #[arg(hide = true, value_name = "NAME")]
    pub names: Vec<String>,
}
