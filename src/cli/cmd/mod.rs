//! The commands: arguments to a request, the request's result to output. One file a command.

mod init;
mod inspect;
mod list;
mod rm;
mod start;
mod stop;
mod supervise;

use machine_host::directories::Directories;

use super::args::Command;
use super::error::CommandError;
use super::output::printer::Printer;
use crate::machine::MachineName;
use crate::store::Store;

/// Runs `command`.
pub async fn run(command: Command, printer: &Printer) -> Result<(), CommandError> {
    match command {
        Command::Init(args) => init::run(&args, printer).await,
        Command::Start(args) => start::run(&args, printer).await,
        Command::Stop(args) => stop::run(&args, printer).await,
        Command::Rm(args) => rm::run(&args, printer).await,
        Command::List(args) => list::run(&args, printer).await,
        Command::Inspect(args) => inspect::run(&args, printer).await,
        Command::Supervise(args) => supervise::run(&args).await,
    }
}

/// The directories of this user.
fn directories() -> Result<Directories, CommandError> {
    Directories::from_environment().map_err(|error| CommandError::from_error(&error))
}

/// The store of this user.
fn open_store() -> Result<Store, CommandError> {
    Ok(Store::open(&directories()?))
}

/// A name as a command takes it; no machine has one that is none.
fn machine_name(text: &str) -> Result<MachineName, CommandError> {
    text.parse()
        .map_err(|_| CommandError::new(format!("{text}: VM does not exist")))
}
