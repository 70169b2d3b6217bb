//! How far an image is, on standard error: fetched, unpacked, copied. A bar on a terminal, a line for each step elsewhere,
//! nothing where quiet; or JSON lines for programs ([`json`]). It also carries the user's wish to stop.

mod json;

use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::{ProgressBar, ProgressStyle};
use machine_images::FetchProgress;

use self::json::JsonLines;
use super::args::image::ProgressForm;
use super::interrupt::Interrupt;
use super::output::printer::Printer;
use super::progress::style;

const COPY: &str = "{msg} [{bar:30}] {binary_bytes}/{binary_total_bytes} {eta}";
const DOWNLOAD: &str =
    "{msg} [{bar:30}] {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}";
/// Of something whose end is not known.
const OPEN: &str = "{spinner} {msg} {binary_bytes} {binary_bytes_per_sec}";
const WAIT: &str = "{spinner} {msg}";

/// What happens to an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Downloading,
    Waiting,
    Unpacking,
    Copying,
    Verifying,
}

impl Step {
    fn text(self) -> &'static str {
        match self {
            Self::Downloading => "Downloading image",
            Self::Waiting => "Waiting for another command that downloads the same image",
            Self::Unpacking => "Unpacking image",
            Self::Copying => "Copying image",
            Self::Verifying => "Verifying image",
        }
    }

    fn template(self, total: Option<u64>) -> &'static str {
        match (self, total) {
            (Self::Downloading, Some(_)) => DOWNLOAD,
            (Self::Downloading | Self::Waiting, None) => OPEN,
            (Self::Copying | Self::Verifying, _) => COPY,
            (Self::Unpacking | Self::Waiting, _) => WAIT,
        }
    }
}

/// The bar of an image.
#[derive(Debug)]
pub struct ImageBar {
    printer: Printer,
    interrupt: Interrupt,
    bar: Mutex<Option<(Step, ProgressBar)>>,
    json: Option<JsonLines>,
}

impl ImageBar {
    /// A bar that appears with the first bytes.
    pub fn new(printer: &Printer, interrupt: &Interrupt, form: ProgressForm) -> Self {
        Self {
            printer: printer.clone(),
            interrupt: interrupt.clone(),
            bar: Mutex::new(None),
            json: (form == ProgressForm::Json).then(JsonLines::default),
        }
    }

    /// So many bytes of so many are copied. A local copy is quick: nothing is said where there is no bar.
    pub fn copy(&self, done: u64, total: u64) {
        self.update(Step::Copying, done, Some(total));
    }

    /// So many bytes of so many are read again. As with a copy, nothing is said where there is no bar.
    pub fn verify(&self, done: u64, total: u64) {
        self.update(Step::Verifying, done, Some(total));
    }

    /// So far is a download.
    pub fn fetch(&self, progress: FetchProgress) {
        match progress {
            FetchProgress::Downloading { done, total } => {
                self.update(Step::Downloading, done, total);
            }
            FetchProgress::Waiting { done } => self.update(Step::Waiting, done, None),
            FetchProgress::Described { by } => {
                if self.json.is_some() {
                    self.printer.stderr(&json::described(&by));
                    return;
                }
                self.say(&format!("The image's checksum is compared with `{by}`\n"));
            }
            FetchProgress::Unpacking => self.update(Step::Unpacking, 0, None),
            FetchProgress::Retrying { pause, why } => {
                if self.json.is_some() {
                    self.printer.stderr(&json::retrying(pause, &why));
                    return;
                }
                let seconds = pause.as_secs_f32();
                self.say(&format!("{why}; trying again in {seconds:.1} s\n"));
            }
        }
    }

    /// Something the user should know, said also where quiet.
    pub fn warn(&self, text: &str) {
        if self.json.is_some() {
            self.printer.stderr(&json::warning(text));
            return;
        }
        self.above(|| self.printer.stderr(&format!("Warning: {text}\n")));
    }

    /// Something that was done besides.
    pub fn tell(&self, text: &str) {
        if self.json.is_some() {
            self.printer.stderr(&json::note(text));
            return;
        }
        self.say(&format!("{text}\n"));
    }

    /// Has the user asked to stop?
    pub fn is_cancelled(&self) -> bool {
        self.interrupt.is_set()
    }

    /// Ends when the user asks to stop.
    pub async fn cancelled(&self) {
        self.interrupt.wait().await;
    }

    fn update(&self, step: Step, done: u64, total: Option<u64>) {
        if let Some(json) = &self.json {
            if let Some(line) = json.line(step, done, total) {
                self.printer.stderr(&line);
            }
            return;
        }
        let mut shown = self.shown();
        let bar = match &*shown {
            Some((now, bar)) if *now == step => bar.clone(),
            _ => {
                if let Some((_, before)) = shown.take() {
                    before.finish_and_clear();
                }
                let bar = ProgressBar::with_draw_target(total, self.printer.draw_target());
                bar.set_style(style(ProgressStyle::with_template(step.template(total))));
                bar.set_message(step.text());
                // What was there before this command says nothing about the rate.
                bar.set_position(done);
                bar.reset_eta();
                let is_local = matches!(step, Step::Copying | Step::Verifying);
                if bar.is_hidden() && !is_local && !self.printer.is_quiet() {
                    self.printer.stderr(&format!("{}\n", step.text()));
                }
                *shown = Some((step, bar.clone()));
                bar
            }
        };
        if let Some(total) = total {
            bar.set_length(total);
        }
        bar.set_position(done);
    }

    fn say(&self, line: &str) {
        if !self.printer.is_quiet() {
            self.above(|| self.printer.stderr(line));
        }
    }

    /// Prints above the bar, if there is one.
    pub fn above(&self, print: impl FnOnce()) {
        match &*self.shown() {
            Some((_, bar)) => bar.suspend(print),
            None => print(),
        }
    }

    fn shown(&self) -> MutexGuard<'_, Option<(Step, ProgressBar)>> {
        self.bar.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ImageBar {
    fn drop(&mut self) {
        if let Some((_, bar)) = self.shown().take() {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cli::output::printer::Verbosity;

    fn lines(verbosity: Verbosity, form: ProgressForm) -> String {
        let (printer, captured) = Printer::captured();
        let bar = ImageBar::new(
            &printer.with_verbosity(verbosity),
            &Interrupt::default(),
            form,
        );
        bar.fetch(FetchProgress::Described {
            by: "https://h/CHECKSUM".to_owned(),
        });
        let downloading = |done| FetchProgress::Downloading {
            done,
            total: Some(9),
        };
        bar.fetch(downloading(1));
        bar.fetch(FetchProgress::Retrying {
            pause: Duration::from_millis(500),
            why: "the connection breaks".to_owned(),
        });
        bar.fetch(downloading(9));
        bar.fetch(FetchProgress::Unpacking);
        bar.warn("nobody can be asked");
        bar.tell("it is pinned");
        bar.copy(1, 2);
        drop(bar);
        let captured = captured.lock().expect("no panic while printing");
        assert_eq!(captured.stdout, "");
        captured.stderr.clone()
    }

    #[test]
    fn a_line_for_each_step_without_a_terminal() {
        assert_eq!(
            lines(Verbosity::Normal, ProgressForm::Auto),
            "The image's checksum is compared with `https://h/CHECKSUM`\nDownloading image\n\
             the connection breaks; trying again in 0.5 s\nUnpacking image\n\
             Warning: nobody can be asked\nit is pinned\n"
        );
    }

    #[test]
    fn json_lines_for_programs() {
        let lines = lines(Verbosity::Normal, ProgressForm::Json);
        assert_eq!(
            lines,
            "{\"step\":\"described\",\"by\":\"https://h/CHECKSUM\"}\n\
             {\"step\":\"downloading\",\"done\":1,\"total\":9}\n\
             {\"step\":\"retrying\",\"pause_ms\":500,\"why\":\"the connection breaks\"}\n\
             {\"step\":\"downloading\",\"done\":9,\"total\":9}\n\
             {\"step\":\"unpacking\",\"done\":0}\n\
             {\"step\":\"warning\",\"text\":\"nobody can be asked\"}\n\
             {\"step\":\"note\",\"text\":\"it is pinned\"}\n\
             {\"step\":\"copying\",\"done\":1,\"total\":2}\n"
        );
    }

    #[test]
    fn quiet_keeps_warnings() {
        assert_eq!(
            lines(Verbosity::Quiet, ProgressForm::Auto),
            "Warning: nobody can be asked\n"
        );
    }

    #[test]
    fn templates_are_valid() {
        for template in [COPY, DOWNLOAD, OPEN, WAIT] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }

    #[test]
    fn a_copy_tells_of_the_interrupt() {
        let (printer, _) = Printer::captured();
        let interrupt = Interrupt::default();
        let bar = ImageBar::new(&printer, &interrupt, ProgressForm::Auto);
        bar.copy(1, 2);
        assert!(!bar.is_cancelled());
        interrupt.set();
        assert!(bar.is_cancelled());
    }
}
