//! `machine port …`: ports of the host that lead to a machine.

use super::values::Truth as _;
use clap::{Args, Subcommand};

use crate::machine::ports::Forward;

/// Manage the ports of this host that lead to a machine
#[derive(Debug, Args)]
#[command(override_usage = "machine port COMMAND")]
pub struct PortArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<PortCommand>,
}

/// The commands of `port`.
#[derive(Debug, Subcommand)]
pub enum PortCommand {
    /// List the ports that lead to a machine: those of containers, and configured ones
    #[command(visible_alias = "ls")]
    List(PortListArgs),
    /// Let a port lead to a machine, now and with each start
    Add(PortAddArgs),
    /// Let a configured port lead there no more
    Rm(PortRmArgs),
}

const FORM: &str = "PORT is [ADDRESS:]PORT[:GUEST-PORT][/tcp|/udp], as 8080:80, 127.0.0.1:5432 or\n\
                    [::1]:53/udp; without ADDRESS it listens at all of this host's, as with\n\
                    `podman run -p`. It leads to the machine's own loopback.";

/// List the ports that lead to a machine
#[derive(Debug, Args)]
#[command(
    override_usage = "machine port list [options] [NAME]",
    after_help = super::DEFAULT_HELP
)]
pub struct PortListArgs {
    /// Format the output by a Go template, or as `json`
    #[arg(long, value_name = "FORMAT", allow_hyphen_values = true)]
    pub format: Option<String>,

    /// Print no header
    #[arg(short, long, truth = Some(false))]
    pub noheading: bool,

    /// Name of the machine.
    #[arg(hide = true, value_name = "NAME")]
    pub words: Vec<String>,
}

/// Let a port lead to a machine
#[derive(Debug, Args)]
#[command(override_usage = "machine port add PORT [NAME]", after_help = FORM)]
pub struct PortAddArgs {
    /// Port and name.
    #[arg(hide = true, value_name = "PORT")]
    pub words: Vec<String>,
}

/// Let a configured port lead to a machine no more
#[derive(Debug, Args)]
#[command(override_usage = "machine port rm PORT [NAME]", after_help = FORM)]
pub struct PortRmArgs {
    /// Port and name.
    #[arg(hide = true, value_name = "PORT")]
    pub words: Vec<String>,
}

/// The words of a group that was given no command.
pub fn missing_command(args: &PortArgs) -> Option<&'static [&'static str]> {
    args.command.is_none().then_some(&["port"])
}

/// Refuses another number of words than a command takes, and what is no port.
pub fn check_words(args: &PortArgs) -> Result<(), String> {
    let (words, command) = match &args.command {
        None => return Ok(()),
        Some(PortCommand::List(args)) if args.words.len() <= 1 => return Ok(()),
        Some(PortCommand::List(args)) => {
            return Err(format!(
                "accepts at most 1 arg(s), received {}",
                args.words.len()
            ));
        }
        Some(PortCommand::Add(args)) => (&args.words, "add"),
        Some(PortCommand::Rm(args)) => (&args.words, "rm"),
    };
    match words.as_slice() {
        [port] | [port, _] => match port.parse::<Forward>() {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("{error}\nSee 'machine port {command} --help'")),
        },
        words => Err(format!(
            "accepts between 1 and 2 arg(s), received {}",
            words.len()
        )),
    }
}
