//! `machine init`.

use super::{Session, start};
use crate::cli::args::init::InitArgs;
use crate::cli::args::name_or_default;
use crate::cli::error::CommandError;
use crate::cli::output::printer::Printer;
use crate::cli::progress::CopyBar;
use crate::cli::texts;
use crate::machine::resources::Wish;
use crate::machine::{MachineName, ProviderKind};
use crate::ops::init::{self, DEFAULT_USER, Host, InitProgress, InitReporter, InitRequest};

/// The provider of a machine that names none: so far the only one there is.
const PROVIDER: ProviderKind = ProviderKind::Qemu;

pub(super) async fn run(args: &InitArgs, session: &Session<'_>) -> Result<(), CommandError> {
    let name = name_or_default(&args.names);
    let Some(image) = &args.image else {
        return Err(CommandError::new("no image was given")
            .with_hint("Give one with `--image FILE`; downloads come in a later version"));
    };
    let request = InitRequest {
        name: MachineName::parse(name)?,
        provider: PROVIDER,
        user: args
            .username
            .clone()
            .unwrap_or_else(|| DEFAULT_USER.to_owned()),
        image: image.clone(),
        wish: Wish {
            // A number that does not fit is more than any host has, which is what the check then says.
            cpus: args
                .cpus
                .map(|cpus| u32::try_from(cpus).unwrap_or(u32::MAX)),
            memory_mib: args.memory,
            disk_gib: args.disk_size,
        },
        rootful: args.rootful,
    };
    let reporter = Reporter {
        printer: session.printer,
        bar: CopyBar::new(session.printer, &session.interrupt),
    };
    let host = Host::detect();
    let work = init::init(&session.store, &host, &request, &reporter);
    session.interrupt.guard(work).await?;
    drop(reporter);
    session.printer.stdout(texts::INIT_COMPLETE);
    if args.now {
        return start::start(name, true, None, session, session.printer).await;
    }
    session.printer.stdout(&texts::start_hint(name));
    Ok(())
}

/// Tells what is made, and asks the user's wish.
struct Reporter<'a> {
    printer: &'a Printer,
    bar: CopyBar,
}

impl InitReporter for Reporter<'_> {
    fn progress(&self, progress: InitProgress) {
        match progress {
            InitProgress::Image { description } => self.printer.stdout(&texts::image(&description)),
            InitProgress::Copying { done, total } => self.bar.update(done, total),
            InitProgress::Completing => {}
        }
    }

    fn cancelled(&self) -> bool {
        self.bar.is_cancelled()
    }
}
