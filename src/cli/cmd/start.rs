//! `machine start`.

use super::{Session, all, default_connection, start_lines};
use crate::cli::args::name_or_default;
use crate::cli::args::start::StartArgs;
use crate::cli::error::CommandError;
use crate::cli::interrupt;
use crate::cli::output::printer::{Printer, Verbosity};
use crate::cli::progress::Phases;
use crate::cli::texts;
use crate::machine::MachineName;
use crate::ops;
use crate::ops::attend::{self, AttendError};
use crate::ops::start::{StartError, StartOptions, Started};
use crate::supervisor::events::{Event, Stamped};

pub(super) async fn run(args: &StartArgs, session: &mut Session<'_>) -> Result<(), CommandError> {
    check(args)?;
    if args.all {
        return all::start(args, session).await;
    }
    let name = name_or_default(&args.names);
    let update = args.update_connection;
    if args.format.is_some() {
        return start_lines::run(name, args, session).await;
    }
    let verbosity = if args.quiet {
        Verbosity::Quiet
    } else {
        Verbosity::Normal
    };
    let printer = session.printer.with_verbosity(verbosity);
    let make_default = default_connection::choose_for(name, update, session)?;
    if args.foreground {
        return stay(name, make_default, args, session, &printer).await;
    }
    start(name, !args.no_info, args.options(), session, &printer).await?;
    default_connection::settle(name, make_default, session)
}

/// What cannot be asked for together.
fn check(args: &StartArgs) -> Result<(), CommandError> {
    if args.all && !args.names.is_empty() {
        return Err(CommandError::new(
            "--all and a name cannot be given together",
        ));
    }
    if args.all && (args.foreground || args.format.is_some()) {
        return Err(CommandError::new(
            "--all goes with neither --foreground nor --format",
        ));
    }
    match args.format.as_deref() {
        Some("json") | None => Ok(()),
        Some(other) => Err(CommandError::new(format!(
            "unknown format `{other}`: the one format of `start` is `json`"
        ))),
    }
}

/// Starts the machine and prints podman's lines; `init --now` comes here as well.
pub(super) async fn start(
    name: &str,
    tips: bool,
    options: StartOptions,
    session: &Session<'_>,
    printer: &Printer,
) -> Result<(), CommandError> {
    // An unknown machine is an error before anything is said.
    let machine = session.store.find(name)?;
    if !printer.is_quiet() {
        printer.stdout(&texts::starting(name));
    }
    let started = boot(&machine.config.name, options, session, printer).await?;
    printer.stdout(&last_words(name, &started, tips, printer.is_quiet()));
    hint(&started, printer);
    Ok(())
}

/// Starts the machine and shows the steps.
pub(super) async fn boot(
    name: &MachineName,
    options: StartOptions,
    session: &Session<'_>,
    printer: &Printer,
) -> Result<Started, StartError> {
    let mut phases = Phases::new(printer);
    let tell = |stamped: &Stamped| match &stamped.event {
        Event::Phase { phase } => phases.begin(&capitalised(phase.description())),
        Event::Warning { message } | Event::Degraded { reason: message } => phases.warn(message),
        Event::Rebooting => phases.begin("The guest reboots"),
        _ => {}
    };
    let interrupted = interrupt::requested();
    let started = ops::start::start(&session.store, name, options, tell, interrupted).await;
    phases.finish();
    started
}

/// `--foreground`: starts the machine, unless it is up, and stays until it has stopped.
async fn stay(
    name: &str,
    make_default: bool,
    args: &StartArgs,
    session: &Session<'_>,
    printer: &Printer,
) -> Result<(), CommandError> {
    let machine = session.store.find(name)?;
    let id = &machine.config.name;
    if !printer.is_quiet() {
        printer.stdout(&texts::starting(name));
    }
    match boot(id, args.options(), session, printer).await {
        Ok(started) => {
            let words = last_words(name, &started, !args.no_info, printer.is_quiet());
            printer.stdout(&words);
            default_connection::settle(name, make_default, session)?;
        }
        // A service that comes back finds its machine up.
        Err(StartError::AlreadyRunning { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let tell = |stamped: &Stamped| match &stamped.event {
        Event::Degraded { reason } => printer.stderr(&format!("Warning: {reason}\n")),
        Event::Warning { message } => printer.stderr(&format!("Warning: {message}\n")),
        Event::Recovered if !printer.is_quiet() => printer.stderr("All of it works again\n"),
        Event::Rebooting if !printer.is_quiet() => printer.stderr("The guest reboots\n"),
        _ => {}
    };
    let (store, files) = (&session.store, &machine.files);
    attend::attend(store, id, files, tell, interrupt::requested).await?;
    printer.stdout(&texts::stopped(name));
    Ok(())
}

/// What the user should know of how the machine runs.
fn hint(started: &Started, printer: &Printer) {
    if let Some(hint) = started.hint.as_ref().filter(|_| !printer.is_quiet()) {
        printer.stderr(&format!("hint: {hint}\n"));
    }
}

/// What is said of a machine that is up.
fn last_words(name: &str, started: &Started, tips: bool, quiet: bool) -> String {
    let mut text = String::new();
    if started.certificates_imported && !quiet {
        text.push_str(texts::CERTIFICATES_IMPORTED);
    }
    // Who is told that it runs on has had the tips.
    if tips && !quiet && started.replaced.is_none() {
        if !started.rootful {
            text.push_str(&texts::rootless(name));
        }
        let socket = started.api_socket.to_string_lossy();
        text.push_str(&texts::forwarding(name, &socket, &started.docker));
    }
    text.push_str(&match &started.replaced {
        Some(build) => texts::replaced(name, build),
        None => texts::started(name),
    });
    text
}

pub(super) fn capitalised(text: &str) -> String {
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

impl From<AttendError> for CommandError {
    fn from(error: AttendError) -> Self {
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
    use crate::docker_socket::Claim;
    use crate::store::testing::Bench;

    fn words(rootful: bool, tips: bool) -> String {
        last_words("vm", &started(rootful, false), tips, false)
    }

    fn started(rootful: bool, certificates_imported: bool) -> Started {
        Started {
            api_socket: PathBuf::from("/m/vm/podman.sock"),
            rootful,
            certificates_imported,
            replaced: None,
            hint: None,
            docker: Claim::Unsupported,
        }
    }

    /// Spec 1.4.2.
    #[test]
    fn the_import_is_told_but_not_to_the_quiet() {
        let imported = started(true, true);
        let words = |quiet| last_words("vm", &imported, false, quiet);
        let last = "Machine \"vm\" started successfully\n";
        assert_eq!(
            words(false),
            format!("The host trusted CA certificates have been imported successfully\n{last}")
        );
        assert_eq!(words(true), last);
    }

    #[test]
    fn a_machine_that_was_up_is_not_told_to_be_started() {
        let replaced = Started {
            replaced: Some("0.0.9".to_owned()),
            ..started(true, false)
        };
        assert_eq!(
            last_words("vm", &replaced, true, false),
            "Machine \"vm\" runs on under this build, which took it over from build 0.0.9\n"
        );
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
            start(
                "vm",
                true,
                StartOptions::default(),
                session,
                session.printer,
            )
            .await
        });
        let error = result.expect_err("there is no machine");
        assert!(
            error.starts_with("Error: vm: VM does not exist\nhint: "),
            "{error}"
        );
        assert_eq!(captured.stdout, "");
    }

    #[test]
    fn what_does_not_go_together() {
        use clap::Parser as _;
        let refusal = |line: &str| {
            let cli = crate::cli::args::Cli::try_parse_from(line.split(' ')).expect(line);
            let Some(crate::cli::args::Command::Start(args)) = cli.command else {
                panic!("{line}");
            };
            check(&args).err().map(|error| error.render())
        };
        for line in [
            "machine start --all vm",
            "machine start --all --foreground",
            "machine start --all --format json",
            "machine start --format yaml vm",
        ] {
            assert!(refusal(line).is_some(), "{line}");
        }
        for line in [
            "machine start --all -q",
            "machine start --foreground --format json vm",
            "machine start --all=false vm",
        ] {
            assert_eq!(refusal(line), None, "{line}");
        }
    }
}
