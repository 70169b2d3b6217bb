//! `machine exec`.

use std::ffi::OsString;

use clap::{ArgAction, Args};

/// Run a program in a machine, over its agent
#[derive(Debug, Args)]
#[command(
    override_usage = "machine exec [options] [NAME] [--] [COMMAND [ARG...]]",
    after_help = "Neither SSH nor the network of the machine take part, so it works where they do not.\n\
                  A first word that is no machine's name begins a command for podman-machine-default.\n\
                  Without COMMAND it is the user's shell. What it reads is this command's input.\n\
                  The exit code is the program's, 127 or 126 if it is missing or unfit, 125 for\n\
                  every other failure."
)]
pub struct ExecArgs {
    /// Set a variable for the program, NAME=VALUE, or NAME as it is here (can be repeated)
    #[arg(short, long, value_name = "VARIABLE", action = ArgAction::Append, allow_hyphen_values = true)]
    pub env: Vec<OsString>,

    /// Does nothing: input is always passed on
    #[arg(short, long, hide = true)]
    pub interactive: bool,

    /// Give the program no terminal, though this command has one
    #[arg(short = 'T', long)]
    pub no_tty: bool,

    /// Give the program a terminal, though this command has none
    #[arg(short, long, overrides_with = "no_tty")]
    pub tty: bool,

    /// User to run it as; else root or the machine's user, by its mode
    #[arg(short, long, value_name = "USER", allow_hyphen_values = true)]
    pub user: Option<String>,

    /// Directory to run it in; else the user's home
    #[arg(short, long, value_name = "DIR", allow_hyphen_values = true)]
    pub workdir: Option<String>,

    /// The machine and the command: what begins with a dash behind the first word is part of it.
    #[arg(hide = true, value_name = "WORD", trailing_var_arg = true)]
    pub words: Vec<OsString>,
}
