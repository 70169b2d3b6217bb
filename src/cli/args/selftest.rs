//! `machine selftest`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::image::FetchArgs;
use super::values::Truth as _;

const AFTER_HELP: &str = "The machine has a name of its own and is removed at the end, also after a failure or \
                          an interruption. Its image stays in the cache.\n\
                          Exit code: 0 where every step passed, 1 where one failed.";

/// Find out whether machines work on this host: make one, use it, remove it
#[derive(Debug, Args)]
#[command(override_usage = "machine selftest [options]", after_help = AFTER_HELP)]
pub struct SelftestArgs {
    /// How the image is fetched.
    #[command(flatten)]
    pub fetch: FetchArgs,

    /// Print the steps as JSON when all is over: the one format is `json`
    #[arg(long, value_name = "FORMAT", allow_hyphen_values = true)]
    pub format: Option<String>,

    /// Bootable image for the machine, as of `init`, instead of the usual one
    #[arg(long, value_name = "IMAGE", allow_hyphen_values = true)]
    pub image: Option<OsString>,

    /// Keep the machine
    #[arg(long, truth = Some(false))]
    pub keep: bool,

    /// Write the steps, what this host is, and the logs of the machine into an archive for somebody who helps, without
    /// secrets; without FILE it is `machine-report-TIME.tar.gz` in the working directory
    #[arg(
        long,
        value_name = "FILE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = ""
    )]
    pub report: Option<PathBuf>,

    /// Nothing may stand here.
    #[arg(hide = true, value_name = "NAME")]
    pub names: Vec<String>,
}
