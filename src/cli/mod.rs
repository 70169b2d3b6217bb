//! The command line: the grammar, what it asks of `ops`, and everything that is printed.
//!
//! ```text
//! words ── args ──> cmd ── request ──> ops ── value or typed error ──> output, error ──> printer
//! ```
//!
//! Nothing outside this module prints, prompts or decides the exit code. Results go to standard output, everything
//! else to standard error. A failure is exit code 125, unless it says otherwise ([`error::CommandError::with_code`]);
//! a command that runs a program for the user ends as that program did.

pub mod args;
pub mod cmd;
pub mod error;
pub mod image_bar;
pub mod interrupt;
pub mod logging;
pub mod output;
pub mod progress;
pub mod prompt;
pub mod takeover;
pub mod terminal;
pub mod texts;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;
use tracing::level_filters::LevelFilter;

use self::args::usage::{self, Usage};
use self::args::{Cli, Command};
use self::error::{CommandError, SUCCESS};
use self::output::printer::Printer;

/// Runs the program with the words of its command line, its own name first.
pub fn run(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let words: Vec<OsString> = words.into_iter().collect();
    let printer = Printer::real();
    let result = parse(&words, &printer)
        .and_then(|command| command.map_or(Ok(SUCCESS), |command| execute(command, &printer)))
        .and_then(|code| {
            printer.finish()?;
            Ok(code)
        });
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            printer.stderr(&error.render());
            ExitCode::from(error.code())
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
    if let Some((help, mistake)) = usage::missing_command(cli.command.as_ref()) {
        printer.stdout(&help);
        return Err(CommandError::new(mistake));
    }
    let Some(command) = cli.command else {
        return Ok(None);
    };
    usage::check_names(&command).map_err(CommandError::new)?;
    Ok(Some(command))
}

/// Runs a command; gives the exit code that it wants.
fn execute(command: Command, printer: &Printer) -> Result<u8, CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(Box::pin(cmd::run(command, printer)))
}
