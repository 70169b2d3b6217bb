//! `machine stop`.

use super::Session;
use crate::cli::args::name_or_default;
use crate::cli::args::stop::StopArgs;
use crate::cli::error::CommandError;
use crate::cli::texts;
use crate::ops;

pub(super) async fn run(args: &StopArgs, session: &Session<'_>) -> Result<(), CommandError> {
    let name = name_or_default(&args.names);
    let machine = session.store.find(name)?;
    ops::stop::stop(&session.store, &machine.config.name, &machine.files, false).await?;
    session.printer.stdout(&texts::stopped(name));
    Ok(())
}
