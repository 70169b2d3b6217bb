//! `machine logs`.

use clap::Args;

use super::DEFAULT_HELP;

/// Show what a machine says
#[derive(Debug, Args)]
#[command(override_usage = "machine logs [options] [NAME]", after_help = DEFAULT_HELP)]
pub struct LogsArgs {
    /// Show the journal of the agent in the guest since it booted
    #[arg(long, conflicts_with_all = ["console", "supervisor"])]
    pub agent: bool,

    /// Show what the guest printed on its console since it was started (the default)
    #[arg(long, conflicts_with = "supervisor")]
    pub console: bool,

    /// Go on with what comes, also over stops and starts
    #[arg(short, long)]
    pub follow: bool,

    /// Show what the process that runs the machine says about itself
    #[arg(long)]
    pub supervisor: bool,

    /// Name of the machine.
    #[arg(hide = true, value_name = "NAME")]
    pub names: Vec<String>,
}
