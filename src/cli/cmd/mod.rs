//! The commands: arguments to a request, the request's result to output. One file a command.

mod init;
mod inspect;
mod list;
mod rm;
mod start;
mod stop;
mod supervise;

use std::io::BufRead;

use machine_host::directories::Directories;

use super::args::Command;
use super::error::CommandError;
use super::interrupt::Interrupt;
use super::output::printer::Printer;
use crate::store::Store;

/// What every command works with.
pub struct Session<'a> {
    /// Where it prints.
    pub printer: &'a Printer,
    /// The machines.
    pub store: Store,
    /// The user's wish to stop.
    pub interrupt: Interrupt,
    /// Where answers are read.
    pub input: &'a mut dyn BufRead,
}

impl std::fmt::Debug for Session<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Session")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

/// Runs `command` with the user's machines, terminal and signals.
pub async fn run(command: Command, printer: &Printer) -> Result<(), CommandError> {
    let mut input = std::io::stdin().lock();
    let mut session = Session {
        printer,
        store: Store::open(&Directories::from_environment()?),
        interrupt: Interrupt::default(),
        input: &mut input,
    };
    match command {
        Command::Init(args) => init::run(&args, &session).await,
        Command::Start(args) => start::run(&args, &session).await,
        Command::Stop(args) => stop::run(&args, &session).await,
        Command::Rm(args) => rm::run(&args, &mut session).await,
        Command::List(args) => list::run(&args, &session),
        Command::Inspect(args) => inspect::run(&args, &session),
        Command::Supervise(args) => supervise::run(&args, &session).await,
    }
}

/// What the tests of the commands share.
#[cfg(test)]
mod testing {
    use super::*;
    use crate::cli::output::printer::Captured;
    use crate::store::testing::Bench;

    /// Runs `work` with the machines of `bench` and the answers in `input`; the outcome as the user sees it.
    pub(super) fn run(
        bench: &Bench,
        input: &str,
        work: impl AsyncFnOnce(&mut Session<'_>) -> Result<(), CommandError>,
    ) -> (Result<(), String>, Captured) {
        let (printer, captured) = Printer::captured();
        let mut input = input.as_bytes();
        let mut session = Session {
            printer: &printer,
            store: bench.store.clone(),
            interrupt: Interrupt::default(),
            input: &mut input,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let result = runtime
            .block_on(work(&mut session))
            .map_err(|error| anstream::adapter::strip_str(&error.render()).to_string());
        let captured = captured.lock().expect("no panic while printing").clone();
        (result, captured)
    }
}
