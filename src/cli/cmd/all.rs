//! `start --all` and `stop --all`: at the same time, each machine's end told as it comes.

use std::future::Future;

use tokio::task::JoinSet;

use super::{Session, default_connection};
use crate::cli::args::start::StartArgs;
use crate::cli::args::stop::StopArgs;
use crate::cli::error::CommandError;
use crate::cli::output::printer::{Printer, Verbosity};
use crate::cli::{interrupt, texts};
use crate::machine::{MachineName, Status};
use crate::ops;
use crate::ops::start::StartError;
use crate::supervisor::client;
use crate::supervisor::events::{Event, Stamped};

/// Starts every machine that does not run.
pub(super) async fn start(args: &StartArgs, session: &Session<'_>) -> Result<(), CommandError> {
    let verbosity = if args.quiet {
        Verbosity::Quiet
    } else {
        Verbosity::Normal
    };
    let printer = session.printer.with_verbosity(verbosity);
    let names = session.store.names()?;
    let work = names.clone().into_iter().map(|name| {
        let (store, printer, options) = (session.store.clone(), printer.clone(), args.options());
        async move {
            let tell = |stamped: &Stamped| progress(&printer, &name, &stamped.event);
            let interrupted = interrupt::requested();
            match ops::start::start(&store, &name, options, tell, interrupted).await {
                Ok(started) => Ok(Some(match started.replaced {
                    Some(build) => texts::replaced(name.as_str(), &build),
                    None => texts::started(name.as_str()),
                })),
                // What was to be reached is so.
                Err(StartError::AlreadyRunning { .. }) => Ok(None),
                Err(error) => Err(error.into()),
            }
        }
    });
    let result = together(work, session.printer, "started").await;
    for name in names {
        // What is wrong with one that cannot be read has been told.
        if session.store.load(&name).is_ok() {
            default_connection::settle(name.as_str(), false, session)?;
        }
    }
    result
}

/// Stops every machine that runs. The files are enough, so that damaged machines are stopped as well.
pub(super) async fn stop(args: &StopArgs, session: &Session<'_>) -> Result<(), CommandError> {
    let names = session.store.names()?.into_iter();
    let work = names.map(|name| {
        let (store, force) = (session.store.clone(), args.force);
        async move {
            let files = store.files(&name)?;
            if client::status(&files).await == Status::Stopped {
                return Ok(None);
            }
            ops::stop::stop(&store, &name, &files, force).await?;
            Ok(Some(texts::stopped(name.as_str())))
        }
    });
    together(work, session.printer, "stopped").await
}

/// The steps of a start, each behind its machine's name.
fn progress(printer: &Printer, name: &MachineName, event: &Event) {
    match event {
        Event::Phase { phase } if !printer.is_quiet() => {
            printer.stderr(&format!("{name}: {}\n", phase.description()));
        }
        Event::Warning { message } => printer.stderr(&format!("Warning: {name}: {message}\n")),
        _ => {}
    }
}

/// Runs all work at the same time, prints what each gives, and fails in the end where one has failed.
async fn together<F>(
    work: impl Iterator<Item = F>,
    printer: &Printer,
    verb: &str,
) -> Result<(), CommandError>
where
    F: Future<Output = Result<Option<String>, CommandError>> + Send + 'static,
{
    let mut running: JoinSet<_> = work.collect();
    let (all, mut failed) = (running.len(), 0_usize);
    while let Some(ended) = running.join_next().await {
        let ended = ended.unwrap_or_else(|lost| {
            Err(CommandError::caused_by("A machine's task was lost", &lost))
        });
        match ended {
            Ok(text) => printer.stdout(&text.unwrap_or_default()),
            Err(error) => {
                failed += 1;
                printer.stderr(&error.render());
            }
        }
    }
    if failed == 0 {
        return Ok(());
    }
    Err(CommandError::new(format!(
        "{failed} of {all} machines could not be {verb}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::cmd::testing;
    use crate::store::testing::Bench;

    #[test]
    fn one_failure_stops_no_other_and_fails_in_the_end() {
        let bench = Bench::new();
        let (result, captured) = testing::run(&bench, "", async |session| {
            let outcomes = [Ok(Some("one\n")), Err("two"), Ok(None), Ok(Some("four\n"))];
            let work = outcomes.into_iter().map(|outcome| async move {
                outcome
                    .map(|text| text.map(str::to_owned))
                    .map_err(CommandError::new)
            });
            together(work, session.printer, "stopped").await
        });
        assert_eq!(
            result,
            Err("Error: 1 of 4 machines could not be stopped\n".to_owned())
        );
        assert_eq!(captured.stdout, "one\nfour\n");
        assert_eq!(captured.stderr, "Error: two\n");
    }

    #[test]
    fn stopped_machines_are_not_worth_a_word() {
        let bench = Bench::new();
        bench.make("a");
        let bad = bench.make("b").files;
        fs_err::write(bad.config(), "no TOML").expect("a file");
        let args = StopArgs {
            all: true,
            force: false,
            names: Vec::new(),
        };
        let (result, captured) =
            testing::run(&bench, "", async |session| stop(&args, session).await);
        assert_eq!(result, Ok(()));
        assert_eq!(captured, crate::cli::output::printer::Captured::default());
    }
}
