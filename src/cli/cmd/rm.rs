//! `machine rm`.

use crate::cli::args::name_or_default;
use crate::cli::args::rm::RmArgs;
use crate::cli::error::CommandError;
use crate::cli::output::printer::Printer;

#[expect(clippy::unused_async, reason = "nothing to wait for yet")]
pub(super) async fn run(args: &RmArgs, _printer: &Printer) -> Result<(), CommandError> {
    let name = name_or_default(&args.names);
    Err(CommandError::new(format!("{name}: VM does not exist")))
}
