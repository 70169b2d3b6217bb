//! `machine start`.

use std::time::Duration;

use clap::{ArgAction, Args};

use super::{DEFAULT_HELP, values};

/// Start an existing machine
#[derive(Debug, Args)]
#[command(override_usage = "machine start [options] [NAME]", after_help = DEFAULT_HELP)]
pub struct StartArgs {
    /// Print no tips
    #[arg(
        long,
        value_name = "BOOL",
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        default_value = "false",
        hide_default_value = true,
        value_parser = values::boolean
    )]
    pub no_info: bool,

    /// Print no progress and no tips
    #[arg(
        short,
        long,
        value_name = "BOOL",
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        default_value = "false",
        hide_default_value = true,
        value_parser = values::boolean
    )]
    pub quiet: bool,

    /// Give up after so long, e.g. 90s or 5m
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    pub timeout: Option<Duration>,

    /// Name of the machine.
    #[arg(hide = true, value_name = "NAME")]
    pub names: Vec<String>,
}
