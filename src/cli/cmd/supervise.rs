//! `machine supervise`: the process that owns a running machine.

use super::{Session, seam};
use crate::cli::args::supervise::SuperviseArgs;
use crate::cli::error::CommandError;
use crate::machine::MachineName;

pub(super) async fn run(args: &SuperviseArgs, session: &Session<'_>) -> Result<(), CommandError> {
    let name = MachineName::parse(&args.name)?;
    seam::supervise(&session.store, &name).await
}
