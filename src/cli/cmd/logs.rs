//! `machine logs`.

use machine_protocol::exec::{Exit, Start};
use tokio::sync::mpsc;

use super::Session;
use crate::cli::args::logs::LogsArgs;
use crate::cli::args::name_or_default;
use crate::cli::error::{CommandError, SUCCESS};
use crate::cli::output::printer::{Printer, Stream};
use crate::cli::output::untrusted::Screen;
use crate::ops::exec::{self, ExecError, ExecRequest, Output, Program};
use crate::ops::logs::{Log, LogsError, Source};
use machine_provisioning::units::AGENT_UNIT;

pub(super) async fn run(args: &LogsArgs, session: &Session<'_>) -> Result<u8, CommandError> {
    let machine = session.store.find(name_or_default(&args.names))?;
    let (name, files) = (&machine.config.name, &machine.files);
    let mut screen = Screen::new(session.printer);
    if args.agent {
        match exec::begin(name, files, &journal(args.follow)).await {
            Ok(program) => return show_journal(program, &mut screen).await,
            Err(error) => {
                let log = Log::open(name, files, Source::Console, false);
                return from_console(log, error, session.printer, &mut screen).await;
            }
        }
    }
    let source = if args.supervisor {
        Source::Supervisor
    } else {
        Source::Console
    };
    let mut log = Log::open(name, files, source, args.follow)?;
    while let Some(bytes) = log.next().await? {
        if !screen.show(Stream::Stdout, &bytes)? {
            break;
        }
    }
    Ok(SUCCESS)
}

/// The program that shows what the agent said.
fn journal(follow: bool) -> ExecRequest {
    let mut words = vec![
        "journalctl",
        "--boot",
        "--no-pager",
        "--quiet",
        "--unit",
        AGENT_UNIT,
    ];
    words.push(if follow { "--follow" } else { "--no-tail" });
    if follow {
        words.push("--no-tail");
    }
    ExecRequest {
        words: words.into_iter().map(Into::into).collect(),
        variables: Vec::new(),
        start: Start {
            user: Some("root".to_owned()),
            directory: Some("/".to_owned()),
            terminal: None,
        },
    }
}

async fn show_journal(program: Program, screen: &mut Screen<'_>) -> Result<u8, CommandError> {
    // No input: its end is at once.
    let (_, input) = mpsc::channel(1);
    let (_, gestures) = mpsc::unbounded_channel();
    let (output, mut said) = mpsc::channel(1);
    let showing = async || {
        while let Some(said) = said.recv().await {
            let shown = match said {
                Output::Stdout(bytes) => screen.show(Stream::Stdout, &bytes),
                Output::Stderr(bytes) => screen.show(Stream::Stderr, &bytes),
            };
            if !shown? {
                // The program ends with its reader.
                break;
            }
        }
        drop(said);
        Ok::<(), std::io::Error>(())
    };
    let (ended, shown) = tokio::join!(program.converse(input, gestures, output), showing());
    shown?;
    match ended {
        Ok(Exit::Code(0)) | Err(ExecError::NoReader) => Ok(SUCCESS),
        Ok(Exit::Code(code)) => Err(CommandError::new(format!(
            "journalctl in the guest ended with {code}"
        ))),
        Ok(Exit::Signal(number)) => Err(CommandError::new(format!(
            "journalctl in the guest was ended by signal {number}"
        ))),
        Err(error) => Err(error.into()),
    }
}

/// The journal cannot be had: what the console has of the agent is shown in its place.
async fn from_console(
    log: Result<Log, LogsError>,
    error: ExecError,
    printer: &Printer,
    screen: &mut Screen<'_>,
) -> Result<u8, CommandError> {
    let mut console = Vec::new();
    if let Ok(mut log) = log {
        while let Some(bytes) = log.next().await? {
            console.extend(bytes);
        }
    }
    let of_agent: Vec<u8> = console
        .split_inclusive(|byte| *byte == b'\n')
        .filter(|line| is_of_agent(line))
        .collect::<Vec<_>>()
        .concat();
    if of_agent.is_empty() {
        return Err(error.into());
    }
    let warning =
        CommandError::from(error).with_hint("what follows is what the console has of the agent");
    printer.stderr(&warning.render_warning());
    screen.show(Stream::Stdout, &of_agent)?;
    Ok(SUCCESS)
}

/// Lines of the service manager about its unit, and of the agent itself.
fn is_of_agent(line: &[u8]) -> bool {
    let unit = AGENT_UNIT.strip_suffix(".service").unwrap_or(AGENT_UNIT);
    line.windows(unit.len()).any(|part| part == unit.as_bytes())
}

impl From<LogsError> for CommandError {
    fn from(error: LogsError) -> Self {
        Self::from_error(&error).with_hints(error.hints())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::cmd::testing;
    use crate::store::testing::Bench;

    fn logs(bench: &Bench, agent: bool, supervisor: bool) -> (Result<(), String>, String, String) {
        let args = LogsArgs {
            agent,
            console: false,
            follow: false,
            supervisor,
            names: vec!["vm".to_owned()],
        };
        let (result, captured) = testing::run(bench, "", async |session| {
            run(&args, session).await.map(drop)
        });
        (result, captured.stdout, captured.stderr)
    }

    #[test]
    fn each_log() {
        let bench = Bench::new();
        let files = bench.make("vm").files;
        let (result, ..) = logs(&bench, false, false);
        assert_eq!(
            result,
            Err("Error: vm \"vm\" has no console log yet\nhint: it gets one when it starts: machine start vm\n".to_owned())
        );
        fs_err::write(files.console_log(), "console\n").unwrap();
        fs_err::write(files.supervisor_log(), "supervisor\n").unwrap();
        assert_eq!(logs(&bench, false, false).1, "console\n");
        assert_eq!(logs(&bench, false, true).1, "supervisor\n");
    }

    #[test]
    fn the_agents_words_from_the_console() {
        let bench = Bench::new();
        let files = bench.make("vm").files;
        fs_err::write(files.console_log(), "kernel: hello\n").unwrap();
        let (result, ..) = logs(&bench, true, false);
        assert_eq!(
            result,
            Err("Error: vm \"vm\" is not running\nhint: start it: machine start vm\n".to_owned())
        );
        let text =
            "kernel: hello\n[  OK  ] Started machine-agent.service\nmachine-agent[5]: Agent\n";
        fs_err::write(files.console_log(), text).unwrap();
        let (result, stdout, stderr) = logs(&bench, true, false);
        assert_eq!(result, Ok(()));
        assert_eq!(
            stdout,
            "[  OK  ] Started machine-agent.service\nmachine-agent[5]: Agent\n"
        );
        assert_eq!(
            stderr,
            "Warning: vm \"vm\" is not running\nhint: start it: machine start vm\nhint: what follows is what the console has of the agent\n"
        );
    }

    #[test]
    fn the_journals_command() {
        let line = |follow| {
            let words = journal(follow).words;
            words.join(std::ffi::OsStr::new(" ")).into_string().unwrap()
        };
        let plain = "journalctl --boot --no-pager --quiet --unit machine-agent.service --no-tail";
        assert_eq!(line(false), plain);
        assert_eq!(
            line(true),
            "journalctl --boot --no-pager --quiet --unit machine-agent.service --follow --no-tail"
        );
    }
}
