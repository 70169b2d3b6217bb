//! The commands: arguments to a request, the request's result to output. One file a command.

mod init;
mod inspect;
mod list;
mod rm;
mod start;
mod stop;
mod supervise;

use super::args::Command;
use super::error::CommandError;
use super::output::printer::Printer;

/// Runs `command`.
pub async fn run(command: Command, printer: &Printer) -> Result<(), CommandError> {
    match command {
        Command::Init(args) => init::run(&args, printer).await,
        Command::Start(args) => start::run(&args, printer).await,
        Command::Stop(args) => stop::run(&args, printer).await,
        Command::Rm(args) => rm::run(&args, printer).await,
        Command::List(args) => list::run(&args, printer).await,
        Command::Inspect(args) => inspect::run(&args, printer).await,
        Command::Supervise(args) => supervise::run(&args, printer).await,
    }
}
