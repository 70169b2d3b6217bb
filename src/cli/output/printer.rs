//! The only writer to standard output and standard error.
//!
//! Writing never fails for the caller: a reader that has gone away must not stop an `init` half way. What went wrong
//! is kept, and [`Printer::finish`] tells it, but for a broken pipe, which is no error.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

use anstream::AutoStream;
use indicatif::ProgressDrawTarget;

/// How much to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Results and errors only.
    Quiet,
    /// And progress and tips.
    Normal,
}

/// A standard stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Text that was printed; for tests.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Captured {
    /// What went to standard output.
    pub stdout: String,
    /// What went to standard error.
    pub stderr: String,
}

#[derive(Debug, Clone)]
enum Sink {
    Real,
    Captured(Arc<Mutex<Captured>>),
}

/// Prints for one command.
#[derive(Debug, Clone)]
pub struct Printer {
    sink: Sink,
    verbosity: Verbosity,
    failure: Arc<Mutex<Option<io::Error>>>,
}

impl Printer {
    /// Prints to the process's own streams; colours by the terminal, `NO_COLOR` and `CLICOLOR_FORCE`.
    pub fn real() -> Self {
        Self::new(Sink::Real)
    }

    /// Keeps everything, without colours.
    pub fn captured() -> (Self, Arc<Mutex<Captured>>) {
        let captured = Arc::new(Mutex::new(Captured::default()));
        (Self::new(Sink::Captured(Arc::clone(&captured))), captured)
    }

    fn new(sink: Sink) -> Self {
        Self {
            sink,
            verbosity: Verbosity::Normal,
            failure: Arc::default(),
        }
    }

    /// The same streams with another verbosity.
    #[must_use]
    pub fn with_verbosity(&self, verbosity: Verbosity) -> Self {
        Self {
            verbosity,
            ..self.clone()
        }
    }

    /// Are progress and tips wanted?
    pub fn is_quiet(&self) -> bool {
        self.verbosity == Verbosity::Quiet
    }

    /// Prints a result, newlines included in `text`.
    pub fn stdout(&self, text: &str) {
        match &self.sink {
            Sink::Real => self.keep(write_all(&mut AutoStream::auto(io::stdout()), text)),
            Sink::Captured(captured) => lock(captured).stdout.push_str(&plain(text)),
        }
    }

    /// Prints an error, a warning or a note, newlines included in `text`.
    pub fn stderr(&self, text: &str) {
        match &self.sink {
            // Where standard error is gone there is nobody left to tell.
            Sink::Real => drop(write_all(&mut AutoStream::auto(io::stderr()), text)),
            Sink::Captured(captured) => lock(captured).stderr.push_str(&plain(text)),
        }
    }

    /// Hands bytes on that are not this program's own, as they are. A failure is the caller's to tell.
    pub fn bytes(&self, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        match (&self.sink, stream) {
            (Sink::Real, Stream::Stdout) => write_bytes(&mut io::stdout().lock(), bytes),
            (Sink::Real, Stream::Stderr) => write_bytes(&mut io::stderr().lock(), bytes),
            (Sink::Captured(captured), Stream::Stdout) => {
                lock(captured).stdout += &String::from_utf8_lossy(bytes);
                Ok(())
            }
            (Sink::Captured(captured), Stream::Stderr) => {
                lock(captured).stderr += &String::from_utf8_lossy(bytes);
                Ok(())
            }
        }
    }

    /// Does a person see the results?
    pub fn is_terminal(&self) -> bool {
        matches!(self.sink, Sink::Real) && io::stdout().is_terminal()
    }

    /// Where progress bars and spinners are drawn.
    pub fn draw_target(&self) -> ProgressDrawTarget {
        match self.sink {
            Sink::Real if !self.is_quiet() => ProgressDrawTarget::stderr(),
            _ => ProgressDrawTarget::hidden(),
        }
    }

    /// The first failure to print a result; a reader that closed the pipe is none.
    pub fn finish(&self) -> io::Result<()> {
        match lock(&self.failure).take() {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ => Ok(()),
        }
    }

    fn keep(&self, result: io::Result<()>) {
        if let Err(error) = result {
            lock(&self.failure).get_or_insert(error);
        }
    }
}

fn write_all(stream: &mut impl Write, text: &str) -> io::Result<()> {
    write_bytes(stream, text.as_bytes())
}

fn write_bytes(stream: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes)?;
    stream.flush()
}

fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captured_text_has_no_colours() {
        let (printer, captured) = Printer::captured();
        printer.stdout("plain\n");
        printer.stderr("\u{1b}[1mbold\u{1b}[0m\n");
        let captured = captured.lock().expect("no panic while printing").clone();
        assert_eq!(captured.stdout, "plain\n");
        assert_eq!(captured.stderr, "bold\n");
    }

    #[test]
    fn a_broken_pipe_is_no_failure_and_a_full_disk_is_one() {
        let (printer, _) = Printer::captured();
        printer.keep(Err(io::ErrorKind::BrokenPipe.into()));
        printer.keep(Err(io::ErrorKind::StorageFull.into()));
        assert!(
            printer.finish().is_ok(),
            "the pipe broke first, the rest follows from it"
        );
        printer.keep(Err(io::ErrorKind::StorageFull.into()));
        assert!(printer.finish().is_err());
    }
}
