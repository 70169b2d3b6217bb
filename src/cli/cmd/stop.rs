//! `machine stop`.

use super::{Session, seam};
use crate::cli::args::name_or_default;
use crate::cli::args::stop::StopArgs;
use crate::cli::error::CommandError;
use crate::cli::texts;

pub(super) async fn run(args: &StopArgs, session: &Session<'_>) -> Result<(), CommandError> {
    let name = name_or_default(&args.names);
    let files = seam::files(&session.store, name)?;
    seam::stop(&files).await?;
    session.printer.stdout(&texts::stopped(name));
    Ok(())
}
