//! `machine cp`.

use std::ffi::OsString;

use super::values::Truth as _;
use clap::Args;

/// Copy files between a machine and this host
#[derive(Debug, Args)]
#[command(
    override_usage = "machine cp [options] SRC_PATH DEST_PATH",
    after_help = "One of the paths is NAME:PATH, a path in machine NAME."
)]
pub struct CpArgs {
    /// Print no progress
    #[arg(short, long, truth = Some(false))]
    pub quiet: bool,

    /// Where from and where to.
    #[arg(hide = true, value_name = "PATH")]
    pub paths: Vec<OsString>,
}
