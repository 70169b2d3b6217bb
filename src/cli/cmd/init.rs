//! `machine init`.

use crate::cli::args::init::InitArgs;
use crate::cli::args::name_or_default;
use crate::cli::error::CommandError;
use crate::cli::output::printer::Printer;
use crate::cli::texts;

pub(super) async fn run(args: &InitArgs, printer: &Printer) -> Result<(), CommandError> {
    let name = name_or_default(&args.names);
    printer.stdout(texts::INIT_COMPLETE);
    if args.now {
        return super::start::start(name, true, None, printer).await;
    }
    printer.stdout(&texts::start_hint(name));
    Ok(())
}
