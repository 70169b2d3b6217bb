//! `machine list`.

use clap::{ArgAction, Args};

use super::values;

/// List machines
#[derive(Debug, Args)]
#[command(override_usage = "machine list [options]")]
pub struct ListArgs {
    /// Format the output by a Go template, or as `json`
    #[arg(long, value_name = "FORMAT", allow_hyphen_values = true)]
    pub format: Option<String>,

    /// Print no header
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
    pub noheading: bool,

    /// Print names only
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

    /// There are none; they are taken to be refused in podman's words.
    #[arg(hide = true, value_name = "NAME")]
    pub names: Vec<String>,
}
