//! The phases of a command on standard error: a spinner on a terminal, plain lines elsewhere, nothing where quiet.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::output::printer::Printer;

const SPINNER_PERIOD: Duration = Duration::from_millis(120);
const SPINNER: &str = "{spinner} {msg} {elapsed}";

/// The phases of a start, one after another.
#[derive(Debug)]
pub struct Phases {
    printer: Printer,
    spinner: ProgressBar,
    current: Option<(String, Instant)>,
}

impl Phases {
    /// Progress for a command that prints with `printer`.
    pub fn new(printer: &Printer) -> Self {
        let spinner = ProgressBar::with_draw_target(None, printer.draw_target());
        spinner.set_style(style(ProgressStyle::with_template(SPINNER)));
        Self {
            printer: printer.clone(),
            spinner,
            current: None,
        }
    }

    /// A phase begins, and with it the one before has ended. `what` is a few words, such as `Starting the virtual machine`.
    pub fn begin(&mut self, what: &str) {
        self.end_current();
        self.current = Some((what.to_owned(), Instant::now()));
        if self.draws() {
            self.spinner.set_message(what.to_owned());
            self.spinner.enable_steady_tick(SPINNER_PERIOD);
        } else if !self.printer.is_quiet() {
            self.printer.stderr(&format!("{what}\n"));
        }
    }

    /// Something the user should know, said also where quiet.
    pub fn warn(&self, text: &str) {
        self.spinner
            .suspend(|| self.printer.stderr(&format!("Warning: {text}\n")));
    }

    /// Removes what is drawn; the command goes on to its last words or to its error.
    pub fn finish(&mut self) {
        self.end_current();
        self.spinner.finish_and_clear();
    }

    fn end_current(&mut self) {
        if let Some((what, began)) = self.current.take() {
            tracing::debug!("{what}: {} ms", began.elapsed().as_millis());
        }
    }

    fn draws(&self) -> bool {
        !self.spinner.is_hidden()
    }
}

impl Drop for Phases {
    fn drop(&mut self) {
        self.finish();
    }
}

/// The templates are constants that a test parses; a bad one would only look plain.
pub(super) fn style<E>(parsed: Result<ProgressStyle, E>) -> ProgressStyle {
    parsed.unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::printer::Verbosity;

    fn phases(verbosity: Verbosity) -> String {
        let (printer, captured) = Printer::captured();
        let mut phases = Phases::new(&printer.with_verbosity(verbosity));
        phases.begin("Preparing the seed disk");
        phases.begin("Starting the virtual machine");
        phases.warn("hardware acceleration is not usable");
        phases.finish();
        let captured = captured.lock().expect("no panic while printing");
        assert_eq!(captured.stdout, "");
        captured.stderr.clone()
    }

    #[test]
    fn lines_without_a_terminal() {
        assert_eq!(
            phases(Verbosity::Normal),
            "Preparing the seed disk\nStarting the virtual machine\nWarning: hardware acceleration is not usable\n"
        );
    }

    #[test]
    fn quiet_keeps_warnings() {
        assert_eq!(
            phases(Verbosity::Quiet),
            "Warning: hardware acceleration is not usable\n"
        );
    }

    #[test]
    fn templates_are_valid() {
        assert!(ProgressStyle::with_template(SPINNER).is_ok());
    }
}
