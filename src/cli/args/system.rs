//! `machine system connection …`, with podman's flags.

use super::values::{self, Truth as _};
use clap::{Args, Subcommand};

/// Manage podman's settings
#[derive(Debug, Args)]
#[command(override_usage = "machine system COMMAND")]
pub struct SystemArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<SystemCommand>,
}

/// The commands of `system`.
#[derive(Debug, Subcommand)]
pub enum SystemCommand {
    /// Manage the connections of podman's clients
    Connection(ConnectionArgs),
}

/// Manage the connections of podman's clients
#[derive(Debug, Args)]
#[command(override_usage = "machine system connection COMMAND")]
pub struct ConnectionArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<ConnectionCommand>,
}

/// The commands of `system connection`.
#[derive(Debug, Subcommand)]
pub enum ConnectionCommand {
    /// Record a destination of podman's clients
    Add(AddArgs),
    /// Make a connection the default
    Default(DefaultArgs),
    /// List the connections
    #[command(visible_alias = "ls")]
    List(ConnectionListArgs),
    /// Remove a connection
    #[command(visible_alias = "rm")]
    Remove(RemoveArgs),
    /// Give a connection another name
    #[command(visible_alias = "mv")]
    Rename(RenameArgs),
}

/// Record a destination of podman's clients
#[derive(Debug, Args)]
#[command(
    override_usage = "machine system connection add [options] NAME DESTINATION",
    after_help = "DESTINATION is one of:\n  \
        [user@]host[:port][/path]        by SSH, as the next\n  \
        ssh://[user@]host[:port][/path]  without a path the host is asked for it\n  \
        unix:///path                     a socket of this host\n  \
        tcp://host:port                  not secured, or by TLS"
)]
pub struct AddArgs {
    /// Make it the default
    #[arg(short, long, truth = Some(false))]
    pub default: bool,

    /// Private key for SSH
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub identity: Option<String>,

    /// Port where DESTINATION has none; 22 for SSH
    #[arg(short, long, value_name = "PORT", allow_hyphen_values = true, value_parser = values::signed)]
    pub port: Option<i64>,

    /// Path of the engine's socket on the host
    #[arg(long, value_name = "PATH", allow_hyphen_values = true)]
    pub socket_path: Option<String>,

    /// TLS: authority that signed the server's certificate
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub tls_ca: Option<String>,

    /// TLS: certificate of the client
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub tls_cert: Option<String>,

    /// TLS: key of the client
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub tls_key: Option<String>,

    /// Farm that it joins.
    #[arg(
        short,
        long,
        hide = true,
        value_name = "NAME",
        allow_hyphen_values = true
    )]
    pub farm: Option<String>,

    /// Name and destination.
    #[arg(hide = true, value_name = "NAME")]
    pub words: Vec<String>,
}

/// Make a connection the default
#[derive(Debug, Args)]
#[command(override_usage = "machine system connection default NAME")]
pub struct DefaultArgs {
    /// Name of the connection.
    #[arg(hide = true, value_name = "NAME")]
    pub words: Vec<String>,
}

/// List the connections
#[derive(Debug, Args)]
#[command(override_usage = "machine system connection list [options]")]
pub struct ConnectionListArgs {
    /// Format the output by a Go template, or as `json` or `tls`
    #[arg(short, long, value_name = "FORMAT", allow_hyphen_values = true)]
    pub format: Option<String>,

    /// Print names only
    #[arg(short, long, truth = Some(false))]
    pub quiet: bool,

    /// There are none; they are taken to be refused in podman's words.
    #[arg(hide = true, value_name = "NAME")]
    pub words: Vec<String>,
}

/// Remove a connection
#[derive(Debug, Args)]
#[command(override_usage = "machine system connection remove [options] NAME")]
pub struct RemoveArgs {
    /// Remove all connections
    #[arg(short, long, truth = Some(false))]
    pub all: bool,

    /// Without a meaning, as with podman.
    #[arg(short, long, hide = true, truth = Some(false))]
    pub force: bool,

    /// Name of the connection.
    #[arg(hide = true, value_name = "NAME")]
    pub words: Vec<String>,
}

/// Give a connection another name
#[derive(Debug, Args)]
#[command(override_usage = "machine system connection rename OLD NEW")]
pub struct RenameArgs {
    /// The old name and the new one.
    #[arg(hide = true, value_name = "NAME")]
    pub words: Vec<String>,
}

/// The words after `system` of a group that was given no command.
pub fn missing_command(args: &SystemArgs) -> Option<&'static [&'static str]> {
    match &args.command {
        None => Some(&["system"]),
        Some(SystemCommand::Connection(ConnectionArgs { command: None })) => {
            Some(&["system", "connection"])
        }
        Some(SystemCommand::Connection(_)) => None,
    }
}

/// Refuses another number of words than a command takes, in podman's words.
pub fn check_words(args: &SystemArgs) -> Result<(), String> {
    let Some(SystemCommand::Connection(ConnectionArgs {
        command: Some(command),
    })) = &args.command
    else {
        return Ok(());
    };
    let (words, wanted) = match command {
        ConnectionCommand::Add(args) => (&args.words, 2),
        ConnectionCommand::Rename(args) => (&args.words, 2),
        ConnectionCommand::Default(args) => (&args.words, 1),
        ConnectionCommand::Remove(args) if args.all => return Ok(()),
        ConnectionCommand::Remove(args) => (&args.words, 1),
        ConnectionCommand::List(args) => {
            return if args.words.is_empty() {
                Ok(())
            } else {
                Err("`machine system connection list` takes no arguments".to_owned())
            };
        }
    };
    let received = words.len();
    if received == wanted {
        Ok(())
    } else {
        Err(format!("accepts {wanted} arg(s), received {received}"))
    }
}
