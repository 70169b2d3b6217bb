//! `machine start`.

use std::time::Duration;

use super::Session;
use crate::cli::args::name_or_default;
use crate::cli::args::start::StartArgs;
use crate::cli::error::CommandError;
use crate::cli::interrupt;
use crate::cli::output::printer::{Printer, Verbosity};
use crate::cli::progress::Phases;
use crate::cli::texts;
use crate::ops;
use crate::ops::start::{StartError, Started};
use crate::supervisor::events::{Event, Stamped};

pub(super) async fn run(args: &StartArgs, session: &Session<'_>) -> Result<(), CommandError> {
    let verbosity = if args.quiet {
        Verbosity::Quiet
    } else {
        Verbosity::Normal
    };
    let printer = session.printer.with_verbosity(verbosity);
    start(
        name_or_default(&args.names),
        !args.no_info,
        args.timeout,
        session,
        &printer,
    )
    .await
}

/// Starts the machine and prints podman's lines; `init --now` comes here as well.
pub(super) async fn start(
    name: &str,
    tips: bool,
    timeout: Option<Duration>,
    session: &Session<'_>,
    printer: &Printer,
) -> Result<(), CommandError> {
    // An unknown machine is an error before anything is said.
    let machine = session.store.find(name)?;
    if !printer.is_quiet() {
        printer.stdout(&texts::starting(name));
    }
    let mut phases = Phases::new(printer);
    let tell = |stamped: &Stamped| match &stamped.event {
        Event::Phase { phase } => phases.begin(&capitalised(phase.description())),
        Event::Warning { message } => phases.warn(message),
        Event::Rebooting => phases.begin("The guest reboots"),
        _ => {}
    };
    let interrupted = interrupt::requested();
    let started = ops::start::start(
        &session.store,
        &machine.config.name,
        timeout,
        tell,
        interrupted,
    );
    let started = started.await;
    phases.finish();
    printer.stdout(&last_words(name, &started?, tips && !printer.is_quiet()));
    Ok(())
}

/// What is said of a machine that is up.
fn last_words(name: &str, started: &Started, tips: bool) -> String {
    let mut text = String::new();
    if tips {
        if !started.rootful {
            text.push_str(&texts::rootless(name));
        }
        text.push_str(&texts::forwarding(&started.api_socket.to_string_lossy()));
    }
    text.push_str(&texts::started(name));
    text
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(characters).collect()
}

impl From<StartError> for CommandError {
    fn from(error: StartError) -> Self {
        Self::from_error(&error)
            .with_detail(error.detail())
            .with_hints(error.hints())
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::cli::cmd::testing;
    use crate::store::testing::Bench;

    fn words(rootful: bool, tips: bool) -> String {
        let api = PathBuf::from("/m/vm/podman.sock");
        last_words(
            "vm",
            &Started {
                api_socket: api,
                rootful,
            },
            tips,
        )
    }

    #[test]
    fn tips_by_mode() {
        const LAST: &str = "Machine \"vm\" started successfully\n";
        assert_eq!(words(false, false), LAST);
        assert_eq!(words(true, false), LAST);
        let rootful = words(true, true);
        assert!(
            rootful.starts_with("API forwarding listening on: /m/vm/podman.sock\n"),
            "{rootful}"
        );
        let rootless = words(false, true);
        assert_eq!(rootless, texts::rootless("vm") + &rootful);
        assert!(rootful.ends_with(LAST));
    }

    #[test]
    fn an_unknown_machine_says_nothing_but_its_error() {
        let bench = Bench::new();
        let (result, captured) = testing::run(&bench, "", async |session| {
            start("vm", true, None, session, session.printer).await
        });
        let error = result.expect_err("there is no machine");
        assert!(
            error.starts_with("Error: vm: VM does not exist\nhint: "),
            "{error}"
        );
        assert_eq!(captured.stdout, "");
    }
}
