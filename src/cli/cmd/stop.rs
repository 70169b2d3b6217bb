//! `machine stop`.

use crate::cli::args::name_or_default;
use crate::cli::args::stop::StopArgs;
use crate::cli::error::CommandError;
use crate::cli::output::printer::Printer;
use crate::cli::texts;

pub(super) async fn run(args: &StopArgs, printer: &Printer) -> Result<(), CommandError> {
    let name = name_or_default(&args.names);
    take_down(name).await?;
    printer.stdout(&texts::stopped(name));
    Ok(())
}

/// Stops the machine; one that is stopped already is a success.
#[expect(clippy::unused_async, reason = "nothing to wait for yet")]
async fn take_down(name: &str) -> Result<(), CommandError> {
    Err(CommandError::new(format!("{name}: VM does not exist")))
}
