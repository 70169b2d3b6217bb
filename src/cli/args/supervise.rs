//! `machine supervise`, which only the program itself starts.

use clap::Args;

/// Own a running machine
#[derive(Debug, Args)]
#[command(
    override_usage = "machine supervise NAME",
    after_help = "Started by the program itself."
)]
pub struct SuperviseArgs {
    /// Name of the machine.
    #[arg(hide = true, value_name = "NAME", required = true)]
    pub name: String,
}
