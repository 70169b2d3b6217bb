//! The commands: arguments to a request, the request's result to output. One file a command.

mod all;
mod connection;
mod cp;
mod default_connection;
mod doctor;
mod events;
mod exec;
mod image;
mod info;
mod init;
mod inspect;
mod list;
mod logs;
mod port;
mod recreate;
mod report;
mod restart;
mod rm;
mod selftest;
mod set;
mod ssh;
mod start;
mod start_lines;
mod stop;
mod supervise;
mod volumes;

use std::io::{BufRead, IsTerminal as _};

use machine_host::directories::Directories;

use super::args::Command;
use super::error::{CommandError, SUCCESS};
use super::interrupt::Interrupt;
use super::output::printer::Printer;
use crate::connection::ConnectionsFile;
use crate::hostconf::HostConf;
use crate::ops::doctor::Premises;
use crate::store::Store;

/// What every command works with.
pub struct Session<'a> {
    /// Where it prints.
    pub printer: &'a Printer,
    /// Where everything lies.
    pub directories: Directories,
    /// The machines.
    pub store: Store,
    /// The file with podman's connections; read by the commands that need it.
    pub connections: ConnectionsFile,
    /// Whether a person answers questions.
    pub interactive: bool,
    /// What is configured on this host; read by the commands that need it.
    pub hostconf: HostConf,
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

impl Session<'_> {
    /// Where everything lies.
    fn premises(&self) -> Premises {
        Premises {
            directories: self.directories.clone(),
            store: self.store.clone(),
            connections: self.connections.clone(),
            hostconf: self.hostconf.clone(),
        }
    }
}

/// Runs `command` with the user's machines, terminal and signals. Gives the exit code: that of the user's program where
/// the command runs one, else [`SUCCESS`].
pub async fn run(command: Command, printer: &Printer) -> Result<u8, CommandError> {
    let interactive = std::io::stdin().is_terminal();
    let mut input = std::io::stdin().lock();
    let directories = Directories::from_environment()?;
    let mut session = Session {
        printer,
        store: Store::open(&directories),
        connections: ConnectionsFile::from_environment()?,
        interactive,
        hostconf: HostConf::locate(&directories, &|name| std::env::var_os(name)),
        directories,
        interrupt: Interrupt::default(),
        input: &mut input,
    };
    match command {
        Command::Init(args) => init::run(&args, &mut session).await,
        Command::Start(args) => start::run(&args, &mut session).await,
        Command::Stop(args) => stop::run(&args, &session).await,
        Command::Set(args) => set::run(&args, &session).await,
        Command::Recreate(args) => Box::pin(recreate::run(&args, &session)).await,
        Command::Rm(args) => rm::run(&args, &mut session).await,
        Command::List(args) => list::run(&args, &session),
        Command::Restart(args) => restart::run(&args, &session).await,
        Command::Port(args) => port::run(&args, &session).await,
        Command::Image(args) => Box::pin(image::run(&args, &session)).await,
        Command::Info(args) => info::run(&args, &session),
        // Its exit code is that of the program in the machine.
        Command::Ssh(args) => return ssh::run(&args, &session).await,
        Command::Cp(args) => cp::run(&args, &session).await,
        // As above.
        Command::Exec(args) => return Box::pin(exec::run(&args, &session)).await,
        Command::Logs(args) => return logs::run(&args, &session).await,
        Command::Events(args) => return events::run(&args, &session).await,
        // As above: whether a problem is left.
        Command::Doctor(args) => return Box::pin(doctor::run(&args, &session)).await,
        Command::Selftest(args) => return Box::pin(selftest::run(&args, &session)).await,
        Command::Inspect(args) => inspect::run(&args, &session),
        Command::System(args) => connection::run(&args, &session).await,
        Command::Supervise(args) => supervise::run(&args, &session).await,
    }
    .map(|()| SUCCESS)
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
            directories: bench.directories(),
            store: bench.store.clone(),
            connections: ConnectionsFile::at(bench.root.path().join("connections.json")),
            interactive: false,
            hostconf: HostConf::in_directory(bench.root.path()),
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
