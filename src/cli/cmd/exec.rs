//! `machine exec`.

use std::ffi::OsString;
use std::io::{self, ErrorKind, IsTerminal, Read};

use bytes::Bytes;
use machine_protocol::exec::{Exit, FailureKind, Signal, Start, Terminal, WindowSize};
use tokio::sync::{mpsc, oneshot};

use super::Session;
use crate::cli::args::exec::ExecArgs;
use crate::cli::error::{CommandError, NOT_EXECUTABLE, NOT_FOUND};
use crate::cli::output::printer::{Printer, Stream};
use crate::cli::terminal::{self, Notice, Raw, Signals};
use crate::ops::addressee::addressee;
use crate::ops::adopt;
use crate::ops::exec::{self, ExecError, ExecRequest, Gesture, Input, Output, Program};

/// What a program's output gets that cannot tell how large it is, as terminals always were.
const USUAL_SIZE: WindowSize = WindowSize {
    rows: 24,
    columns: 80,
};
const PIECE: usize = 32 * 1024;
/// Pieces that wait on their way, in each direction.
const WAITING: usize = 4;
/// Linux' number of the signal that a writer without a reader gets.
const PIPE: u8 = 13;

pub(super) async fn run(args: &ExecArgs, session: &Session<'_>) -> Result<u8, CommandError> {
    let (machine, words) = addressee(&session.store, &args.words)?;
    // Behind the machine's name it ends what is the command line's own, as before it.
    let words = match words {
        [dashes, rest @ ..] if dashes == "--" => rest,
        words => words,
    };
    let on_terminal =
        args.tty || (!args.no_tty && io::stdin().is_terminal() && io::stdout().is_terminal());
    let user = args.user.clone();
    let request = ExecRequest {
        words: words.to_vec(),
        variables: variables(&args.env, |name| std::env::var_os(name))?,
        start: Start {
            user: user.or_else(|| machine.config.rootful.then(|| "root".to_owned())),
            directory: args.workdir.clone(),
            terminal: on_terminal.then(|| Terminal {
                kind: std::env::var("TERM").unwrap_or_else(|_| "dumb".to_owned()),
                size: terminal::size().unwrap_or(USUAL_SIZE),
            }),
        },
    };
    let mut signals = Signals::listen()?;
    let beginning = async {
        let (name, files) = (&machine.config.name, &machine.files);
        adopt::status(&session.store, name, files).await;
        exec::begin(name, files, &request).await
    };
    let program = tokio::select! {
        program = beginning => program?,
        signal = ending(&mut signals) => return Ok(Exit::Signal(signal.number()).shell_code()),
    };
    // Undone when this returns, before anything else is printed.
    let _raw = if on_terminal { Raw::enter()? } else { None };
    attend(program, session.printer, &mut signals).await
}

/// The variables as the guest wants them. One without a value has that of this process, or is left out.
fn variables(
    given: &[OsString],
    environment: impl Fn(&OsString) -> Option<OsString>,
) -> Result<Vec<OsString>, CommandError> {
    let mut variables = Vec::new();
    for given in given {
        let bytes = given.as_encoded_bytes();
        if bytes.is_empty() || bytes.starts_with(b"=") {
            let text = given.to_string_lossy();
            return Err(CommandError::new(format!(
                "invalid environment variable: {text:?}"
            )));
        }
        if bytes.contains(&b'=') {
            variables.push(given.clone());
        } else if let Some(value) = environment(given) {
            let mut variable = given.clone();
            variable.push("=");
            variable.push(value);
            variables.push(variable);
        }
    }
    Ok(variables)
}

/// A signal that asks to end.
async fn ending(signals: &mut Signals) -> Signal {
    loop {
        if let Notice::Signal(signal) = signals.next().await {
            return signal;
        }
    }
}

/// Passes bytes and signals on until the program has ended and all it said has been written; gives the exit code.
async fn attend(
    program: Program,
    printer: &Printer,
    signals: &mut Signals,
) -> Result<u8, CommandError> {
    let (sender, input) = mpsc::channel(WAITING);
    read_input(sender)?;
    let (output, said) = mpsc::channel(WAITING);
    let mut written = write_output(said, printer.clone())?;
    let (gesture, gestures) = mpsc::unbounded_channel();
    let exit = {
        let mut talking = std::pin::pin!(program.converse(input, gestures, output));
        loop {
            let notice = tokio::select! {
                exit = &mut talking => break exit,
                notice = signals.next() => notice,
            };
            let gesture_of_it = match notice {
                Notice::Resized => terminal::size().map(Gesture::Resize),
                // The terminal is gone. The guest tells the program, when this ends.
                Notice::Signal(Signal::Hangup) => {
                    return Ok(Exit::Signal(Signal::Hangup.number()).shell_code());
                }
                Notice::Signal(signal) => Some(Gesture::Signal(signal)),
            };
            if let Some(sent) = gesture_of_it {
                let _ = gesture.send(sent);
            }
        }
    };
    let written = tokio::select! {
        written = &mut written => written.unwrap_or(Ok(())),
        // Somebody does not read, and the user has waited long enough.
        signal = ending(signals) => return Ok(Exit::Signal(signal.number()).shell_code()),
    };
    match (exit, written) {
        (Err(ExecError::NoReader) | Ok(_), Err(error)) => {
            if error.kind() == ErrorKind::BrokenPipe {
                Ok(Exit::Signal(PIPE).shell_code())
            } else {
                Err(error.into())
            }
        }
        (Ok(exit), Ok(())) => Ok(exit.shell_code()),
        (Err(error), _) => Err(error.into()),
    }
}

/// Reads standard input on a thread of its own, which the end of the process does not wait for: a read of a terminal
/// cannot be called off.
fn read_input(sender: mpsc::Sender<Input>) -> io::Result<()> {
    let mut input = terminal::input()?;
    let work = move || {
        let mut piece = vec![0; PIECE];
        loop {
            match input.read(&mut piece) {
                Ok(0) => return,
                Ok(length) => {
                    let bytes = Bytes::copy_from_slice(&piece[..length]);
                    if sender.blocking_send(bytes).is_err() {
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // A terminal that is gone, as a rule: no more input.
                Err(_) => return,
            }
        }
    };
    std::thread::Builder::new()
        .name("input".to_owned())
        .spawn(work)?;
    Ok(())
}

/// Writes output on a thread of its own: a reader that is slow must not keep signals from getting through.
fn write_output(
    mut said: mpsc::Receiver<Output>,
    printer: Printer,
) -> io::Result<oneshot::Receiver<io::Result<()>>> {
    let (done, written) = oneshot::channel();
    let work = move || {
        let mut result = Ok(());
        while let Some(output) = said.blocking_recv() {
            result = match output {
                Output::Stdout(bytes) => printer.bytes(Stream::Stdout, &bytes),
                Output::Stderr(bytes) => printer.bytes(Stream::Stderr, &bytes),
            };
            if result.is_err() {
                break;
            }
        }
        drop(said);
        // Nobody waits when the user has had enough.
        let _ = done.send(result);
    };
    std::thread::Builder::new()
        .name("output".to_owned())
        .spawn(work)?;
    Ok(written)
}

impl From<ExecError> for CommandError {
    fn from(error: ExecError) -> Self {
        let shown = Self::from_error(&error).with_hints(error.hints());
        match error.kind() {
            Some(FailureKind::NotFound) => shown.with_code(NOT_FOUND),
            Some(FailureKind::NotExecutable) => shown.with_code(NOT_EXECUTABLE),
            _ => shown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::cmd::testing;
    use crate::store::testing::Bench;

    fn os(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn variables_with_and_without_values() {
        let environment = |name: &OsString| (name == "HERE").then(|| OsString::from("x=y"));
        let given = os(&["A=b", "HERE", "NOT_HERE", "EMPTY=", "B=c=d"]);
        assert_eq!(
            variables(&given, environment).unwrap(),
            os(&["A=b", "HERE=x=y", "EMPTY=", "B=c=d"])
        );
        for wrong in ["", "=x"] {
            let error = variables(&os(&[wrong]), environment).unwrap_err();
            assert_eq!(
                error,
                CommandError::new(format!("invalid environment variable: {wrong:?}"))
            );
        }
    }

    #[test]
    fn what_cannot_be_run_has_a_shells_code() {
        for (kind, code) in [
            (FailureKind::NotFound, 127),
            (FailureKind::NotExecutable, 126),
            (FailureKind::NoSuchUser, 125),
            (FailureKind::Other, 125),
        ] {
            let reason = "no".to_owned();
            let error = ExecError::Failed(machine_protocol::exec::Failure { kind, reason });
            assert_eq!(CommandError::from(error).code(), code);
        }
    }

    #[test]
    fn a_machine_that_does_not_run() {
        let bench = Bench::new();
        bench.make("vm");
        let args = ExecArgs {
            env: Vec::new(),
            interactive: false,
            no_tty: false,
            tty: false,
            user: None,
            workdir: None,
            words: os(&["vm", "true"]),
        };
        let (result, captured) = testing::run(&bench, "", async |session| {
            run(&args, session).await.map(drop)
        });
        assert_eq!(
            result,
            Err("Error: vm \"vm\" is not running\nhint: start it: machine start vm\n".to_owned())
        );
        assert_eq!(captured.stdout, "");
    }
}
