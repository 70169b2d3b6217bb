//! `machine supervise`, which only the program itself starts.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::values;

/// Own a running machine
#[derive(Debug, Args)]
#[command(
    override_usage = "machine supervise NAME",
    after_help = "Started by the program itself."
)]
pub struct SuperviseArgs {
    /// Give up a start after so long
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    pub timeout: Option<Duration>,

    /// Keep a guest running whose engine does not come up
    #[arg(long)]
    pub rescue: bool,

    /// The service of the system that this is
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,

    /// The socket of the command that starts it
    #[arg(long, value_name = "SOCKET")]
    pub starter: Option<PathBuf>,

    /// Name of the machine.
    #[arg(hide = true, value_name = "NAME", required = true)]
    pub name: String,
}
