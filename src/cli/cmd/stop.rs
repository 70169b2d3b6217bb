//! `machine stop`.

use super::{Session, all};
use crate::cli::args::name_or_default;
use crate::cli::args::stop::StopArgs;
use crate::cli::error::CommandError;
use crate::cli::texts;
use crate::ops;

pub(super) async fn run(args: &StopArgs, session: &Session<'_>) -> Result<(), CommandError> {
    if args.all {
        if !args.names.is_empty() {
            return Err(CommandError::new(
                "--all and a name cannot be given together",
            ));
        }
        return all::stop(args, session).await;
    }
    let name = name_or_default(&args.names);
    let machine = session.store.find(name)?;
    let id = &machine.config.name;
    ops::stop::stop(&session.store, id, &machine.files, args.force).await?;
    session.printer.stdout(&texts::stopped(name));
    Ok(())
}
