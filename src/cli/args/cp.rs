//! `machine cp`.

use std::ffi::OsString;

use clap::{ArgAction, Args};

use super::values;

/// Copy files between a machine and this host
#[derive(Debug, Args)]
#[command(
    override_usage = "machine cp [options] SRC_PATH DEST_PATH",
    after_help = "One of the paths is NAME:PATH, a path in machine NAME."
)]
pub struct CpArgs {
    /// Print no progress
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

    /// Where from and where to.
    #[arg(hide = true, value_name = "PATH")]
    pub paths: Vec<OsString>,
}
