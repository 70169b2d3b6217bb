//! `machine list`.

use super::values::Truth as _;
use clap::Args;

/// List machines
#[derive(Debug, Args)]
#[command(override_usage = "machine list [options]")]
pub struct ListArgs {
    /// Format the output by a Go template, or as `json`
    #[arg(long, value_name = "FORMAT", allow_hyphen_values = true)]
    pub format: Option<String>,

    /// Print no header
    #[arg(short, long, truth = Some(false))]
    pub noheading: bool,

    /// Print names only
    #[arg(short, long, truth = Some(false))]
    pub quiet: bool,

    /// There are none; they are taken to be refused in podman's words.
    #[arg(hide = true, value_name = "NAME")]
    pub names: Vec<String>,
}
