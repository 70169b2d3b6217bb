//! `machine start`.

use std::path::PathBuf;

use crate::cli::args::name_or_default;
use crate::cli::args::start::StartArgs;
use crate::cli::error::CommandError;
use crate::cli::output::printer::{Printer, Verbosity};
use crate::cli::progress::Phases;
use crate::cli::texts;

/// What the last words of a start need to know.
#[derive(Debug)]
pub(super) struct Started {
    /// Socket or pipe of the API.
    pub(super) api: PathBuf,
    /// The API is that of root's engine.
    pub(super) rootful: bool,
}

pub(super) async fn run(args: &StartArgs, printer: &Printer) -> Result<(), CommandError> {
    let verbosity = if args.quiet {
        Verbosity::Quiet
    } else {
        Verbosity::Normal
    };
    let printer = printer.with_verbosity(verbosity);
    start(name_or_default(&args.names), !args.no_info, &printer).await
}

/// Starts the machine and prints podman's lines; `init --now` comes here as well.
pub(super) async fn start(name: &str, tips: bool, printer: &Printer) -> Result<(), CommandError> {
    if !printer.is_quiet() {
        printer.stdout(&texts::starting(name));
    }
    let mut phases = Phases::new(printer);
    let started = bring_up(name, &mut phases).await;
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
        text.push_str(&texts::forwarding(&started.api.to_string_lossy()));
    }
    text.push_str(&texts::started(name));
    text
}

/// Brings the machine up and tells its phases.
#[expect(clippy::unused_async, reason = "nothing to wait for yet")]
async fn bring_up(name: &str, _phases: &mut Phases) -> Result<Started, CommandError> {
    Err(CommandError::new(format!("{name}: VM does not exist")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(rootful: bool, tips: bool) -> String {
        let api = PathBuf::from("/m/vm/podman.sock");
        last_words("vm", &Started { api, rootful }, tips)
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
