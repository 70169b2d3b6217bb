//! `machine stop`.

use clap::{ArgAction, Args};

use super::{DEFAULT_HELP, values};

/// Stop an existing machine
#[derive(Debug, Args)]
#[command(override_usage = "machine stop [options] [NAME]", after_help = DEFAULT_HELP)]
pub struct StopArgs {
    /// Stop all machines
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
    pub all: bool,

    /// Stop without the guest's help
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
    pub force: bool,

    /// Name of the machine.
    #[arg(hide = true, value_name = "NAME")]
    pub names: Vec<String>,
}
