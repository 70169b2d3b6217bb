//! The grammar of the command line, and nothing else: types for clap, one file a command.
//!
//! Flags and names mix freely, a flag given twice means its last value, and a missing or empty name is the default
//! machine's, as with podman. Names are lists here so that too many of them get podman's words ([`usage`]).

pub mod cp;
pub mod doctor;
pub mod events;
pub mod exec;
pub mod image;
pub mod info;
pub mod init;
pub mod inspect;
pub mod list;
pub mod logs;
pub mod port;
pub mod recreate;
pub mod restart;
pub mod rm;
pub mod selftest;
pub mod set;
pub mod setting;
pub mod ssh;
pub mod start;
pub mod stop;
pub mod supervise;
pub mod system;
pub mod usage;
pub mod values;

use clap::{Parser, Subcommand};

use crate::machine::MachineName;

/// Name of the program in help and errors.
pub const PROGRAM: &str = "machine";

/// Last line of the help of a command that takes a name.
const DEFAULT_HELP: &str = "Without NAME the machine is podman-machine-default.";

/// Run Linux virtual machines with a container engine that behaves as if it were local
#[derive(Debug, Parser)]
#[command(
    name = PROGRAM,
    version = concat!("version ", env!("CARGO_PKG_VERSION")),
    override_usage = "machine [options] COMMAND",
    max_term_width = 80,
    args_override_self = true
)]
pub struct Cli {
    /// Log from LEVEL on: trace, debug, info, warn or error
    #[arg(
        long,
        global = true,
        display_order = 100,
        value_name = "LEVEL",
        default_value = "warn",
        hide_default_value = true,
        allow_hyphen_values = true,
        value_parser = values::log_level
    )]
    pub log_level: values::LogLevel,

    /// Log more, as --log-level=debug
    #[arg(short, long, display_order = 101)]
    pub verbose: bool,

    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The commands, in the order of the help.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Initialize a virtual machine
    Init(Box<init::InitArgs>),
    /// Start an existing machine
    Start(start::StartArgs),
    /// Stop an existing machine
    Stop(stop::StopArgs),
    /// Stop a machine if it runs, and start it
    Restart(restart::RestartArgs),
    /// Change the settings of a machine
    Set(set::SetArgs),
    /// Give a machine a new operating system and keep its containers
    Recreate(Box<recreate::RecreateArgs>),
    /// Remove an existing machine
    Rm(rm::RmArgs),
    /// List machines
    #[command(visible_alias = "ls")]
    List(list::ListArgs),
    /// Inspect existing machines
    Inspect(inspect::InspectArgs),
    /// Manage the ports of this host that lead to a machine
    Port(port::PortArgs),
    /// Manage the images that were fetched
    Image(image::ImageArgs),
    /// Show where machines are and what they do, in short
    Info(info::InfoArgs),
    /// Log in to a machine, or run a command in it
    Ssh(ssh::SshArgs),
    /// Copy files between a machine and this host
    Cp(cp::CpArgs),
    /// Run a program in a machine, over its agent
    Exec(exec::ExecArgs),
    /// Show what a machine says
    Logs(logs::LogsArgs),
    /// Show what happened to machines
    Events(events::EventsArgs),
    /// Find what is wrong with this host and its machines
    Doctor(doctor::DoctorArgs),
    /// Find out whether machines work on this host
    Selftest(selftest::SelftestArgs),
    /// Manage podman's settings
    System(system::SystemArgs),
    /// Own a running machine
    #[command(hide = true)]
    Supervise(supervise::SuperviseArgs),
}

/// The machine that was named: the first name, or the default where there is none or an empty one.
pub fn name_or_default(names: &[String]) -> &str {
    match names.first() {
        Some(name) if !name.is_empty() => name,
        _ => MachineName::DEFAULT,
    }
}

#[cfg(test)]
mod tests;
