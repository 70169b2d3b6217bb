//! Progress on standard error: a spinner or bar on a terminal, plain lines elsewhere, nothing where quiet.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::interrupt::Interrupt;
use super::output::printer::Printer;

const SPINNER_PERIOD: Duration = Duration::from_millis(120);
const SPINNER: &str = "{spinner} {msg} {elapsed}";
const BAR: &str = "{msg} [{bar:30}] {binary_bytes}/{binary_total_bytes} {eta}";

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

/// The bar of a copy, which also carries the user's wish to stop.
#[derive(Debug)]
pub struct CopyBar {
    printer: Printer,
    interrupt: Interrupt,
    bar: Mutex<Option<ProgressBar>>,
}

impl CopyBar {
    /// A bar that appears with the first bytes.
    pub fn new(printer: &Printer, interrupt: &Interrupt) -> Self {
        Self {
            printer: printer.clone(),
            interrupt: interrupt.clone(),
            bar: Mutex::new(None),
        }
    }

    /// So many bytes of so many are copied.
    pub fn update(&self, done: u64, total: u64) {
        let mut bar = self
            .bar
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let bar = bar.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(Some(total), self.printer.draw_target());
            bar.set_style(style(ProgressStyle::with_template(BAR)));
            bar.set_message("Copying image");
            bar
        });
        bar.set_length(total);
        bar.set_position(done);
    }

    /// Has the user asked to stop?
    pub fn is_cancelled(&self) -> bool {
        self.interrupt.is_set()
    }
}

impl Drop for CopyBar {
    fn drop(&mut self) {
        let bar = self
            .bar
            .get_mut()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(bar) = bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// The templates are constants that a test parses; a bad one would only look plain.
fn style<E>(parsed: Result<ProgressStyle, E>) -> ProgressStyle {
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
        assert!(ProgressStyle::with_template(BAR).is_ok());
    }

    #[test]
    fn a_copy_tells_of_the_interrupt() {
        let (printer, _) = Printer::captured();
        let interrupt = Interrupt::default();
        let bar = CopyBar::new(&printer, &interrupt);
        bar.update(1, 2);
        assert!(!bar.is_cancelled());
        interrupt.set();
        assert!(bar.is_cancelled());
    }
}
