//! The program proper.
//!
//! * [`words`]: options and devices, split as both programs split them; [`vfkit`] and [`krunkit`]: what each documents.
//! * [`hardware`]: the machine that comes of it, and whether its files are there.
//! * [`power`]: the state of the machine, and what may end it; [`rest`]: the services by which it is asked and told.
//! * [`firmware`]: the boot up to Ignition; [`guest`]: the agent and its surroundings; [`engine`]: its engines;
//!   [`vsock`]: the guest's connections.
//! * [`gvproxy`]: the program at the other end of the guest's network.
//! * [`mischief`]: what goes wrong on purpose.

mod engine;
mod firmware;
mod guest;
mod gvproxy;
mod hardware;
mod krunkit;
mod mischief;
mod power;
mod rest;
mod run;
mod vfkit;
mod vsock;
mod words;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

/// Why the program ends before its machine does.
#[derive(Debug, thiserror::Error)]
enum FakeError {
    #[error("{0}")]
    Usage(String),
    #[error("{what}: {source}")]
    Io {
        what: String,
        #[source]
        source: std::io::Error,
    },
    #[error("{0}")]
    Guest(String),
}

/// Puts words before what the system said.
fn failed(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> FakeError {
    let what = what.into();
    move |source| FakeError::Io { what, source }
}

/// Which of the two it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flavour {
    Vfkit,
    Krunkit,
}

/// What was said, and the exit code that goes with it.
enum Outcome {
    Said(String),
    Ended,
    Refused(String, u8),
}

pub(crate) fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let name = words.next().unwrap_or_default();
    let words: Vec<OsString> = words.collect();
    if words
        .first()
        .is_some_and(|word| word == guest::BE_THE_GUEST)
    {
        return guest::become_agent(&words[1..]);
    }
    match outcome(Path::new(&name), &words) {
        Outcome::Said(text) => {
            say(&mut std::io::stdout(), &text);
            ExitCode::SUCCESS
        }
        Outcome::Ended => ExitCode::SUCCESS,
        Outcome::Refused(text, code) => {
            say(&mut std::io::stderr(), &text);
            ExitCode::from(code)
        }
    }
}

/// Nobody may listen any more.
fn say(to: &mut dyn std::io::Write, text: &str) {
    let _ = writeln!(to, "{text}");
}

/// A line of the program's log, in the form of vfkit's.
fn log(text: &str) {
    say(&mut std::io::stderr(), &format!("level=info msg={text:?}"));
}

fn outcome(program: &Path, words: &[OsString]) -> Outcome {
    if program.file_name().is_some_and(|name| name == "gvproxy") {
        return match gvproxy::run(words) {
            Ok(()) => Outcome::Ended,
            Err(error) => Outcome::Refused(error.to_string(), 1),
        };
    }
    let flavour = match program.file_name().and_then(|name| name.to_str()) {
        Some("vfkit") => Flavour::Vfkit,
        Some("krunkit") => Flavour::Krunkit,
        _ => {
            let text = "Start this program as `vfkit`, `krunkit` or `gvproxy`".to_owned();
            return Outcome::Refused(text, 2);
        }
    };
    // cobra ends with 1 whatever is wrong, clap with 2 for the command line.
    let (usage, other) = match flavour {
        Flavour::Vfkit => (1, 1),
        Flavour::Krunkit => (2, 1),
    };
    match run::run(flavour, program, words) {
        Ok(Some(said)) => Outcome::Said(said),
        Ok(None) => Outcome::Ended,
        Err(FakeError::Usage(text)) => Outcome::Refused(format!("Error: {text}"), usage),
        Err(error) => Outcome::Refused(format!("Error: {error}"), other),
    }
}
