//! `machine restart`.

use super::{Session, default_connection, start};
use crate::cli::args::name_or_default;
use crate::cli::args::restart::RestartArgs;
use crate::cli::error::CommandError;
use crate::cli::output::printer::Verbosity;
use crate::cli::texts;
use crate::ops;
use crate::ops::start::StartOptions;

pub(super) async fn run(args: &RestartArgs, session: &Session<'_>) -> Result<(), CommandError> {
    let name = name_or_default(&args.names);
    let machine = session.store.find(name)?;
    let verbosity = if args.quiet {
        Verbosity::Quiet
    } else {
        Verbosity::Normal
    };
    let printer = session.printer.with_verbosity(verbosity);
    if !printer.is_quiet() {
        printer.stdout(&texts::restarting(name));
    }
    let id = &machine.config.name;
    ops::stop::stop(&session.store, id, &machine.files, args.force).await?;
    let options = StartOptions {
        timeout: args.timeout,
        ..StartOptions::default()
    };
    start::boot(id, options, session, &printer).await?;
    printer.stdout(&texts::restarted(name));
    default_connection::settle(name, false, session)
}
