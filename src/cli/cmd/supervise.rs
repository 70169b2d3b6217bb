//! `machine supervise`: the process that owns a running machine.

use crate::cli::args::supervise::SuperviseArgs;
use crate::cli::error::CommandError;
use crate::cli::output::printer::Printer;

#[expect(clippy::unused_async, reason = "nothing to wait for yet")]
pub(super) async fn run(args: &SuperviseArgs, _printer: &Printer) -> Result<(), CommandError> {
    Err(CommandError::new(format!(
        "{}: VM does not exist",
        args.name
    )))
}
