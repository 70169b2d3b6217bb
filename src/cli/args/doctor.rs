//! `machine doctor`.

use std::path::PathBuf;

use super::values::Truth as _;
use clap::Args;

const AFTER_HELP: &str = "Without NAME it looks at all machines; it looks at the host in any case.\n\
                          Exit code: 0 where no problem is left, 1 where one is; notes are no problems.";

/// Find what is wrong with this host and its machines
#[derive(Debug, Args)]
#[command(override_usage = "machine doctor [options] [NAME...]", after_help = AFTER_HELP)]
pub struct DoctorArgs {
    /// Mend what can be mended without a risk: sockets and files that killed
    /// commands left, missing connections, keys that others may read
    #[arg(long, truth = Some(false))]
    pub fix: bool,

    /// Format the output by a Go template, or as `json`
    #[arg(long, value_name = "FORMAT", allow_hyphen_values = true)]
    pub format: Option<String>,

    /// Write what was found, what this host is, and the logs of the machines into an archive for somebody who helps,
    /// without secrets; without FILE it is `machine-report-TIME.tar.gz` in the working directory
    #[arg(
        long,
        value_name = "FILE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = ""
    )]
    pub report: Option<PathBuf>,

    /// Names of the machines.
    #[arg(hide = true, value_name = "NAME")]
    pub names: Vec<String>,
}
