//! `machine start`.

use std::time::Duration;

use clap::{ArgAction, Args};

use super::{DEFAULT_HELP, values};
use crate::ops::start::StartOptions;

/// Start an existing machine
#[derive(Debug, Args)]
#[command(override_usage = "machine start [options] [NAME]", after_help = DEFAULT_HELP)]
pub struct StartArgs {
    /// Start all machines
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

    /// Stay until the machine stops; Ctrl-C and SIGTERM stop it in order
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
    pub foreground: bool,

    /// Print each step as a line of JSON: the one format is `json`
    #[arg(long, value_name = "FORMAT", allow_hyphen_values = true)]
    pub format: Option<String>,

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

    /// Keep a machine running whose engine does not come up, so that it can be mended
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
    pub rescue: bool,

    /// Make it podman's default connection
    #[arg(
        short,
        long,
        value_name = "BOOL",
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = values::boolean
    )]
    pub update_connection: Option<bool>,

    /// Name of the machine.
    #[arg(hide = true, value_name = "NAME")]
    pub names: Vec<String>,
}

impl StartArgs {
    /// How the start is wanted.
    pub fn options(&self) -> StartOptions {
        StartOptions {
            timeout: self.timeout,
            rescue: self.rescue,
        }
    }
}
