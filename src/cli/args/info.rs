//! `machine info`.

use super::values::Truth as _;
use clap::Args;

/// Show where machines are and what they do, in short
#[derive(Debug, Args)]
#[command(override_usage = "machine info [options]")]
pub struct InfoArgs {
    /// Format the output by a Go template, or as `json`
    #[arg(short, long, value_name = "FORMAT", allow_hyphen_values = true)]
    pub format: Option<String>,

    /// Show where configuration, machines, images, connections and sockets lie
    #[arg(long, truth = Some(false))]
    pub paths: bool,

    /// There are none; they are taken to be refused in podman's words.
    #[arg(hide = true, value_name = "NAME")]
    pub names: Vec<String>,
}
