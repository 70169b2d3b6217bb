//! `machine start --format json`: each event as a line on standard output.
//!
//! A start that fails ends with a line of the event `failed`, whatever failed, with a `code` for programs beside the
//! message for people.

use std::error::Error as _;

use jiff::Timestamp;
use serde_json::Value;

use super::{Session, default_connection};
use crate::cli::args::start::StartArgs;
use crate::cli::error::CommandError;
use crate::cli::interrupt;
use crate::cli::output::printer::Printer;
use crate::ops;
use crate::ops::attend;
use crate::ops::start::StartError;
use crate::supervisor::events::{Event, Failure, Stamped};

/// Starts the machine, with `--foreground` stays, and tells all of it in lines.
pub(super) async fn run(
    name: &str,
    args: &StartArgs,
    session: &Session<'_>,
) -> Result<(), CommandError> {
    let mut lines = Lines::new(session.printer, name);
    let machine = match session.store.find(name) {
        Ok(machine) => machine,
        Err(error) => {
            let error = StartError::from(error);
            lines.fail(&error.code(), failure(&error));
            return Err(error.into());
        }
    };
    let started = ops::start::start(
        &session.store,
        &machine.config.name,
        args.options(),
        |stamped| lines.event(stamped),
        interrupt::requested(),
    );
    match started.await {
        Ok(_) => default_connection::settle(name, args.update_connection == Some(true), session)?,
        Err(StartError::AlreadyRunning { .. }) if args.foreground => {}
        Err(error) => {
            lines.fail(&error.code(), failure(&error));
            return Err(error.into());
        }
    }
    if !args.foreground {
        return Ok(());
    }
    let (store, id) = (&session.store, &machine.config.name);
    let tell = |stamped: &Stamped| lines.event(stamped);
    let wish = interrupt::requested;
    let attended = attend::attend(store, id, &machine.files, tell, wish).await;
    if let Err(error) = &attended {
        let told = Failure {
            detail: error.detail(),
            hints: error.hints(),
            ..Failure::new(error.to_string())
        };
        lines.fail(&error.code(), told);
    }
    Ok(attended?)
}

/// The error with its causes as what a supervisor would have reported.
fn failure(error: &StartError) -> Failure {
    let mut told = Failure::new(error.to_string());
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if text != told.message {
            told.detail.push(text);
        }
        cause = error.source();
    }
    told.detail.extend(error.detail());
    told.hints = error.hints();
    told
}

/// Prints events as lines.
struct Lines<'a> {
    printer: &'a Printer,
    machine: &'a str,
    /// The last event was a failure, which needs no other line.
    failed: bool,
}

impl<'a> Lines<'a> {
    fn new(printer: &'a Printer, machine: &'a str) -> Self {
        Self {
            printer,
            machine,
            failed: false,
        }
    }

    fn event(&mut self, stamped: &Stamped) {
        self.failed = matches!(stamped.event, Event::Failed(_));
        self.print(stamped, None);
    }

    fn fail(&mut self, code: &str, failure: Failure) {
        if self.failed {
            return;
        }
        let stamped = Stamped {
            time: Timestamp::now(),
            event: Event::Failed(failure),
        };
        self.print(&stamped, Some(code));
    }

    /// The event's line in the log, with the machine, and with a code where the event has none of its own.
    fn print(&self, stamped: &Stamped, code: Option<&str>) {
        // Events are plain data with string keys, for which there is no failing case.
        let mut value = serde_json::to_value(stamped).unwrap_or_default();
        if let Value::Object(fields) = &mut value {
            fields.insert("machine".to_owned(), self.machine.into());
            if let Some(code) = code {
                fields.insert("code".to_owned(), code.into());
            }
        }
        self.printer.stdout(&format!("{value}\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::cmd::testing;
    use crate::store::testing::Bench;
    use crate::supervisor::events::Phase;

    fn told(tell: impl FnOnce(&mut Lines<'_>)) -> Vec<Value> {
        let (printer, captured) = Printer::captured();
        tell(&mut Lines::new(&printer, "vm"));
        let captured = captured.lock().expect("no panic while printing");
        let lines = captured.stdout.lines();
        lines
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect()
    }

    fn at(second: i64, event: Event) -> Stamped {
        let time = Timestamp::from_second(second).expect("in range");
        Stamped { time, event }
    }

    #[test]
    fn events_are_lines_and_a_failure_is_told_once() {
        let lines = told(|lines| {
            lines.event(&at(1, Event::Phase { phase: Phase::Link }));
            lines.event(&at(2, Event::Failed(Failure::new("no"))));
            lines.fail("other", Failure::new("no"));
        });
        assert_eq!(lines.len(), 2);
        assert_eq!(
            lines[0],
            serde_json::json!({
                "time": "1970-01-01T00:00:01Z", "event": "phase", "phase": "link", "machine": "vm"
            })
        );
        assert_eq!(
            (&lines[1]["event"], &lines[1]["message"]),
            (&"failed".into(), &"no".into())
        );
    }

    #[test]
    fn what_no_supervisor_reports_ends_with_a_line_too() {
        let bench = Bench::new();
        let args = StartArgs {
            update_connection: None,
            all: false,
            foreground: false,
            format: Some("json".to_owned()),
            no_info: false,
            quiet: false,
            timeout: None,
            rescue: false,
            names: vec!["vm".to_owned()],
        };
        let (result, captured) =
            testing::run(&bench, "", async |session| run("vm", &args, session).await);
        assert!(result.is_err());
        let line: Value = serde_json::from_str(captured.stdout.trim_end()).expect("one line");
        assert_eq!(line["event"], "failed");
        assert_eq!(line["code"], "not-found");
        assert_eq!(line["message"], "vm: VM does not exist");
        assert_eq!(line["machine"], "vm");
    }
}
