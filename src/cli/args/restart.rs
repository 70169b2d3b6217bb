//! `machine restart`.

use std::time::Duration;

use clap::Args;

use super::DEFAULT_HELP;
use super::values::{self, Truth as _};

/// Stop a machine if it runs, and start it
#[derive(Debug, Args)]
#[command(override_usage = "machine restart [options] [NAME]", after_help = DEFAULT_HELP)]
pub struct RestartArgs {
    /// Stop without the guest's help
    #[arg(short, long, truth = Some(false))]
    pub force: bool,

    /// Print no progress
    #[arg(short, long, truth = Some(false))]
    pub quiet: bool,

    /// Give up the start after so long, e.g. 90s or 5m
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    pub timeout: Option<Duration>,

    /// Name of the machine.
    #[arg(hide = true, value_name = "NAME")]
    pub names: Vec<String>,
}
