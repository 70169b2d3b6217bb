//! The command line: the grammar, what it asks of `ops`, and everything that is printed.
//!
//! ```text
//! words ── args ──> cmd ── request ──> ops ── value or typed error ──> output, error ──> printer
//! ```
//!
//! Nothing outside this module prints, prompts or decides the exit code. Results go to standard output, everything
//! else to standard error. Every failure is exit code 125.

pub mod args;
pub mod cmd;
pub mod error;
pub mod interrupt;
pub mod logging;
pub mod output;
pub mod progress;
pub mod prompt;
pub mod texts;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;
use tracing::level_filters::LevelFilter;

use self::args::usage::{self, Usage};
use self::args::{Cli, Command};
use self::error::{CommandError, FAILURE};
use self::output::printer::Printer;

/// Runs the program with the words of its command line, its own name first.
pub fn run(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let words: Vec<OsString> = words.into_iter().collect();
    let printer = Printer::real();
    let result = parse(&words, &printer)
        .and_then(|command| command.map_or(Ok(()), |command| execute(command, &printer)))
        .and_then(|()| Ok(printer.finish()?));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            printer.stderr(&error.render());
            ExitCode::from(FAILURE)
        }
    }
}

/// The command that `words` give; none where help or the version was all they wanted.
fn parse(words: &[OsString], printer: &Printer) -> Result<Option<Command>, CommandError> {
    let cli = match Cli::try_parse_from(words) {
        Ok(cli) => cli,
        Err(error) => match usage::explain(&error, words) {
            Usage::Answer(text) => {
                printer.stdout(&text);
                return Ok(None);
            }
            Usage::Mistake(text) => return Err(CommandError::new(text)),
        },
    };
    let level = if cli.verbose {
        cli.log_level.0.max(LevelFilter::DEBUG)
    } else {
        cli.log_level.0
    };
    logging::init(level, printer);
    let Some(command) = cli.command else {
        printer.stdout(&usage::help());
        return Err(CommandError::new(usage::missing_command()));
    };
    usage::check_names(&command).map_err(CommandError::new)?;
    Ok(Some(command))
}

fn execute(command: Command, printer: &Printer) -> Result<(), CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(Box::pin(cmd::run(command, printer)))
}
