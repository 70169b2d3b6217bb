//! `machine init`.

use super::{Session, seam, start};
use crate::cli::args::init::InitArgs;
use crate::cli::args::name_or_default;
use crate::cli::error::CommandError;
use crate::cli::texts;

pub(super) async fn run(args: &InitArgs, session: &Session<'_>) -> Result<(), CommandError> {
    let name = name_or_default(&args.names);
    tracing::debug!("provider {}", seam::default_provider());
    session.printer.stdout(&texts::image("none"));
    session.printer.stdout(texts::INIT_COMPLETE);
    if args.now {
        return start::start(name, true, session, session.printer).await;
    }
    session.printer.stdout(&texts::start_hint(name));
    Ok(())
}
