//! `machine start`.

use std::time::Duration;

use clap::Args;

use super::values::{self, Truth as _};
use crate::ops::start::StartOptions;

/// The default, and what `start` of a machine that runs is for.
const AFTER_HELP: &str = "Without NAME the machine is podman-machine-default.\n\n\
     A machine that runs under another build of this program, as after an upgrade, gets a supervisor of this build; \
     its virtual machine is not stopped.";

/// Start an existing machine
#[derive(Debug, Args)]
#[command(override_usage = "machine start [options] [NAME]", after_help = AFTER_HELP)]
pub struct StartArgs {
    /// Start all machines
    #[arg(long, truth = Some(false))]
    pub all: bool,

    /// Stay until the machine stops; Ctrl-C and SIGTERM stop it in order
    #[arg(long, truth = Some(false))]
    pub foreground: bool,

    /// Print each step as a line of JSON: the one format is `json`
    #[arg(long, value_name = "FORMAT", allow_hyphen_values = true)]
    pub format: Option<String>,

    /// Print no tips
    #[arg(long, truth = Some(false))]
    pub no_info: bool,

    /// Print no progress and no tips
    #[arg(short, long, truth = Some(false))]
    pub quiet: bool,

    /// Give up after so long, e.g. 90s or 5m
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    pub timeout: Option<Duration>,

    /// Keep a machine running whose engine does not come up, so that it can be mended
    #[arg(long, truth = Some(false))]
    pub rescue: bool,

    /// Make it podman's default connection
    #[arg(short, long, truth = None)]
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
            ..StartOptions::default()
        }
    }
}
