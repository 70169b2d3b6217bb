//! `machine start`.

use std::time::Duration;

use crate::cli::args::name_or_default;
use crate::cli::args::start::StartArgs;
use crate::cli::error::CommandError;
use crate::cli::interrupt;
use crate::cli::output::printer::{Printer, Verbosity};
use crate::cli::progress::Phases;
use crate::cli::texts;
use crate::ops;
use crate::ops::start::Started;
use crate::supervisor::events::{Event, Stamped};

pub(super) async fn run(args: &StartArgs, printer: &Printer) -> Result<(), CommandError> {
    let verbosity = if args.quiet {
        Verbosity::Quiet
    } else {
        Verbosity::Normal
    };
    let printer = printer.with_verbosity(verbosity);
    start(
        name_or_default(&args.names),
        !args.no_info,
        args.timeout,
        &printer,
    )
    .await
}

/// Starts the machine and prints podman's lines; `init --now` comes here as well.
pub(super) async fn start(
    name: &str,
    tips: bool,
    timeout: Option<Duration>,
    printer: &Printer,
) -> Result<(), CommandError> {
    if !printer.is_quiet() {
        printer.stdout(&texts::starting(name));
    }
    let mut phases = Phases::new(printer);
    let started = bring_up(name, timeout, &mut phases).await;
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

/// Brings the machine up and tells its phases.
async fn bring_up(
    name: &str,
    timeout: Option<Duration>,
    phases: &mut Phases,
) -> Result<Started, CommandError> {
    let store = super::open_store()?;
    let name = super::machine_name(name)?;
    let tell = |stamped: &Stamped| match &stamped.event {
        Event::Phase { phase } => phases.begin(&capitalised(phase.description())),
        Event::Warning { message } => phases.warn(message),
        Event::Rebooting => phases.begin("The guest reboots"),
        _ => {}
    };
    ops::start::start(&store, &name, timeout, tell, interrupt::requested())
        .await
        .map_err(|error| {
            CommandError::from_error(&error)
                .with_causes(error.detail())
                .with_hints(error.hints())
        })
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(characters).collect()
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

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
}
