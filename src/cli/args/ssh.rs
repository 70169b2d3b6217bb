//! `machine ssh`.

use std::ffi::OsString;

use clap::Args;

/// Log in to a machine, or run a command in it
#[derive(Debug, Args)]
#[command(
    override_usage = "machine ssh [options] [NAME] [COMMAND [ARG...]]",
    after_help = "A first word that is no machine's name begins a command for podman-machine-default.\n\
                  The exit code is that of the command."
)]
pub struct SshArgs {
    /// User to log in as; else root or the machine's user, by its mode
    #[arg(long, value_name = "USER", allow_hyphen_values = true)]
    pub username: Option<String>,

    /// The machine and the command: what begins with a dash behind the first word is part of it.
    #[arg(hide = true, value_name = "WORD", trailing_var_arg = true)]
    pub words: Vec<OsString>,
}
