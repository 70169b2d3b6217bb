//! Log messages on standard error, one line each, in the form of podman's (`time="…" level=warning msg="…"`).
//!
//! Messages are for whoever looks for a fault; users get errors, hints and progress. `RUST_LOG` wins over the options.

use std::fmt::{self, Write as _};
use std::io;

use jiff::ZonedDateTime;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

use super::output::printer::Printer;

/// Starts logging from `level` on.
pub fn init(level: LevelFilter, printer: &Printer) {
    let filter = EnvFilter::builder()
        .with_default_directive(level.into())
        .from_env_lossy();
    let filter = match std::env::var_os(EnvFilter::DEFAULT_ENV) {
        None if level <= LevelFilter::WARN => without_libraries(filter),
        _ => filter,
    };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(LogWriter(printer.clone()))
        .event_format(Logfmt)
        .finish();
    // A second start, as in tests, keeps the first one's settings.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// The errors that imago logs come to us as errors too, which say what to do; its own words are about its insides.
fn without_libraries(filter: EnvFilter) -> EnvFilter {
    match "imago=off".parse() {
        Ok(directive) => filter.add_directive(directive),
        Err(_) => filter,
    }
}

/// Hands each line to the printer.
#[derive(Debug, Clone)]
struct LogWriter(Printer);

impl io::Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.stderr(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = Self;

    fn make_writer(&'a self) -> Self::Writer {
        self.clone()
    }
}

/// Logrus' text format.
struct Logfmt;

impl<S, N> FormatEvent<S, N> for Logfmt
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Line::default();
        event.record(&mut line);
        let now = ZonedDateTime::now()
            .strftime("%Y-%m-%dT%H:%M:%S%:z")
            .to_string();
        let level = match *event.metadata().level() {
            Level::ERROR => "error",
            Level::WARN => "warning",
            Level::INFO => "info",
            Level::DEBUG => "debug",
            Level::TRACE => "trace",
        };
        writeln!(
            writer,
            "time=\"{now}\" level={level} msg={:?}{}",
            line.message, line.fields
        )
    }
}

/// The parts of an event.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a String cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={:?}", format!("{value:?}")),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = match field.name() {
            "message" => write!(self.message, "{value}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}
