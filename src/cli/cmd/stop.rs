//! `machine stop`.

use crate::cli::args::name_or_default;
use crate::cli::args::stop::StopArgs;
use crate::cli::error::CommandError;
use crate::cli::output::printer::Printer;
use crate::cli::texts;
use crate::ops;

pub(super) async fn run(args: &StopArgs, printer: &Printer) -> Result<(), CommandError> {
    let name = name_or_default(&args.names);
    take_down(name).await?;
    printer.stdout(&texts::stopped(name));
    Ok(())
}

/// Stops the machine; one that is stopped already is a success.
async fn take_down(name: &str) -> Result<(), CommandError> {
    let store = super::open_store()?;
    let name = super::machine_name(name)?;
    ops::stop::stop(&store, &name, false)
        .await
        .map_err(|error| CommandError::from_error(&error).with_hints(error.hints()))
}
