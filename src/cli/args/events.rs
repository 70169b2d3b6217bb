//! `machine events`.

use clap::Args;

/// Show what happened to machines
#[derive(Debug, Args)]
#[command(
    override_usage = "machine events [options] [NAME...]",
    after_help = "Without NAME it is all machines, with --follow also those that are made later."
)]
pub struct EventsArgs {
    /// Go on with what happens
    #[arg(short, long)]
    pub follow: bool,

    /// Format each event by a Go template, or as `json`, an object a line
    #[arg(long, value_name = "FORMAT", allow_hyphen_values = true)]
    pub format: Option<String>,

    /// Names of the machines.
    #[arg(hide = true, value_name = "NAME")]
    pub names: Vec<String>,
}
