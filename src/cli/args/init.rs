//! `machine init`.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use super::{DEFAULT_HELP, values};

/// Initialize a virtual machine
#[derive(Debug, Args)]
#[command(override_usage = "machine init [options] [NAME]", after_help = DEFAULT_HELP)]
pub struct InitArgs {
    /// Number of CPUs
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = values::unsigned)]
    pub cpus: Option<u64>,

    /// Disk size in GiB
    #[arg(long, value_name = "GIB", allow_hyphen_values = true, value_parser = values::unsigned)]
    pub disk_size: Option<u64>,

    /// Bootable image for the machine: a qcow2 or raw file
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub image: Option<PathBuf>,

    /// Memory in MiB
    #[arg(short, long, value_name = "MIB", allow_hyphen_values = true, value_parser = values::unsigned)]
    pub memory: Option<u64>,

    /// Start the machine now
    #[arg(
        long,
        value_name = "BOOL",
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        default_value = "false",
        hide_default_value = true,
        value_parser = values::boolean
    )]
    pub now: bool,

    /// Let the machine's socket lead to the engine of root
    #[arg(
        long,
        value_name = "BOOL",
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        default_value = "false",
        hide_default_value = true,
        value_parser = values::boolean
    )]
    pub rootful: bool,

    /// Name of the user in the machine
    #[arg(long, value_name = "USER", allow_hyphen_values = true)]
    pub username: Option<String>,

    /// Name of the machine.
    #[arg(hide = true, value_name = "NAME")]
    pub names: Vec<String>,
}
