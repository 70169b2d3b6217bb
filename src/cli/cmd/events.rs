//! `machine events`.

use jiff::tz::TimeZone;
use serde_json::Value;

use super::Session;
use crate::cli::args::events::EventsArgs;
use crate::cli::error::{CommandError, SUCCESS};
use crate::cli::output::format::{self, Report};
use crate::cli::output::gotemplate::{self, Field, Struct};
use crate::cli::output::printer::Stream;
use crate::cli::output::untrusted::{Screen, one_line};
use crate::ops::events::{Events, EventsError, Happening};
use crate::supervisor::events::Phase;

const TEMPLATE: &str = "events";

pub(super) async fn run(args: &EventsArgs, session: &Session<'_>) -> Result<u8, CommandError> {
    let writer = Writer::new(args.format.as_deref())?;
    let mut events = Events::open(&session.store, &args.names, args.follow)?;
    let mut screen = Screen::new(session.printer);
    while let Some(news) = events.next().await? {
        let mut text = String::new();
        for happening in &news {
            text.push_str(&writer.write(happening, &TimeZone::system())?);
        }
        // Nobody looks any more.
        if !screen.show(Stream::Stdout, text.as_bytes())? {
            break;
        }
    }
    Ok(SUCCESS)
}

/// How an event is written.
#[derive(Debug)]
enum Writer {
    People,
    Json,
    Template(Report),
}

impl Writer {
    fn new(format: Option<&str>) -> Result<Self, CommandError> {
        Ok(match format {
            None => Self::People,
            // Each event is one object, so that all of it is the same as JSON.
            Some(format) if format::is_json(format) || format == "{{json .}}" => Self::Json,
            Some(format) => Self::Template(Report::user(TEMPLATE, format)?),
        })
    }

    /// Its line or lines, newlines included.
    fn write(&self, happening: &Happening, zone: &TimeZone) -> Result<String, CommandError> {
        match self {
            Self::People => {
                let time = happening.time.to_zoned_datetime(zone.clone());
                Ok(format!(
                    "{} {} {}\n",
                    time.strftime("%Y-%m-%dT%H:%M:%S.%3f%:z"),
                    happening.machine,
                    message(happening)
                ))
            }
            Self::Json => Ok(serde_json::to_string(happening)? + "\n"),
            Self::Template(report) => {
                let fields = vec![
                    Field::new(
                        "Time",
                        gotemplate::Value::Time(Box::new(
                            happening.time.to_zoned_datetime(zone.clone()),
                        )),
                    ),
                    Field::new("Machine", happening.machine.as_str()),
                    Field::new("Event", one_line(&happening.event).as_str()),
                    Field::new("Message", message(happening).as_str()),
                ];
                let row = gotemplate::Value::Struct(Struct {
                    type_name: "machine.Event",
                    fields,
                });
                let rows = gotemplate::Value::List {
                    type_name: "[]machine.Event",
                    items: vec![row],
                };
                Ok(report.render(None, &rows)?)
            }
        }
    }
}

/// What happened, in one line.
fn message(happening: &Happening) -> String {
    let more = &happening.more;
    let text = |key: &str| match more.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => "?".to_owned(),
    };
    let message = match happening.event.as_str() {
        "phase" => {
            let phase = more.get("phase").cloned().unwrap_or_default();
            match serde_json::from_value::<Phase>(phase) {
                Ok(phase) => phase.description().to_owned(),
                Err(_) => text("phase"),
            }
        }
        "warning" => format!("warning: {}", text("message")),
        "launched" => format!("the virtual machine is process {}", text("pid")),
        "link-up" => format!(
            "agent {} is connected by {}",
            text("agent"),
            text("carrier")
        ),
        "link-down" => format!("the agent is gone: {}", text("reason")),
        "engine-answers" => "the container engine answers".to_owned(),
        "ready" => "ready".to_owned(),
        "degraded" => format!("degraded: {}", text("reason")),
        "clock-set" => format!("the guest's clock was moved by {} ms", text("by_ms")),
        "ssh-port-changed" => format!("SSH moved from port {} to {}", text("from"), text("to")),
        "mode-changed" if more.get("rootful") == Some(&Value::Bool(true)) => {
            "podman.sock leads to root's engine".to_owned()
        }
        "mode-changed" => "podman.sock leads to the user's engine".to_owned(),
        "port-opened" => format!("{} leads to the guest", port(&text)),
        "port-closed" => format!("{} leads to the guest no more", port(&text)),
        "recovered" => "all works again".to_owned(),
        "rebooting" => "the guest reboots".to_owned(),
        "stopping" => "stopping".to_owned(),
        "stopped" => "stopped".to_owned(),
        "failed" => format!("failed: {}", text("message")),
        "occupied" => "another process runs it".to_owned(),
        // Of another build.
        other => {
            let more = more.keys().map(|key| format!(" {key}={}", text(key)));
            other.to_owned() + &more.collect::<String>()
        }
    };
    one_line(&message)
}

fn port(text: &impl Fn(&str) -> String) -> String {
    format!(
        "{} port {} at {}",
        text("protocol"),
        text("port"),
        text("address")
    )
}

impl From<EventsError> for CommandError {
    fn from(error: EventsError) -> Self {
        Self::from_error(&error).with_hints(error.hints())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::cmd::testing;
    use crate::store::testing::Bench;

    const LOG: &str = r#"{"time":"2026-01-01T00:00:00.5Z","event":"phase","phase":"link"}
{"time":"2026-01-01T00:00:01Z","event":"launched","pid":7}
{"time":"2026-01-01T00:00:02Z","event":"degraded","reason":"two\nlines \u001b[31m"}
{"time":"2026-01-01T00:00:03Z","event":"failed","message":"no","detail":["x"],"hints":[]}
{"time":"2026-01-01T00:00:04Z","event":"teleported","to":"the moon"}
"#;

    fn events(format: Option<&str>, names: &[&str]) -> (Result<(), String>, String) {
        let bench = Bench::new();
        let files = bench.make("vm").files;
        fs_err::write(files.events(), LOG).unwrap();
        let args = EventsArgs {
            follow: false,
            format: format.map(str::to_owned),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        let (result, captured) = testing::run(&bench, "", async |session| {
            run(&args, session).await.map(drop)
        });
        (result, captured.stdout)
    }

    #[test]
    fn for_people() {
        let (result, text) = events(None, &[]);
        assert_eq!(result, Ok(()));
        let told: Vec<&str> = text
            .lines()
            .map(|line| line.split_once(' ').unwrap().1)
            .collect();
        assert_eq!(
            told,
            [
                "vm waiting for the guest's agent",
                "vm the virtual machine is process 7",
                "vm degraded: two lines ",
                "vm failed: no",
                "vm teleported to=the moon",
            ]
        );
        let happening: Happening = serde_json::from_str(LOG.lines().next().unwrap()).unwrap();
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let line = Writer::People.write(&happening, &zone).unwrap();
        assert!(line.starts_with("2026-01-01T02:00:00.500+02:00 "), "{line}");
    }

    #[test]
    fn for_programs() {
        let (_, text) = events(Some("json"), &["vm"]);
        assert_eq!(
            text.lines().next(),
            Some(
                r#"{"time":"2026-01-01T00:00:00.5Z","machine":"vm","event":"phase","phase":"link"}"#
            )
        );
        assert_eq!(text.lines().count(), 5);
        let (_, text) = events(Some("{{.Machine}}: {{.Event}}: {{.Message}}"), &["vm"]);
        assert_eq!(
            text.lines().nth(1),
            Some("vm: launched: the virtual machine is process 7")
        );
        let (result, text) = events(Some("{{.Moon}}"), &[]);
        assert!(result.unwrap_err().contains("can't evaluate field Moon"));
        assert_eq!(text, "");
    }

    #[test]
    fn events_with_numbers() {
        let told = |event: &str| {
            let line = format!("{{\"time\":\"2026-01-01T00:00:00Z\",\"event\":{event}}}");
            message(&serde_json::from_str(&line).unwrap())
        };
        assert_eq!(
            told(r#""clock-set","by_ms":-1500"#),
            "the guest's clock was moved by -1500 ms"
        );
        assert_eq!(
            told(r#""ssh-port-changed","from":2222,"to":40000"#),
            "SSH moved from port 2222 to 40000"
        );
        assert_eq!(
            told(r#""mode-changed","rootful":true"#),
            "podman.sock leads to root's engine"
        );
    }

    #[test]
    fn nobody_of_that_name() {
        let (result, _) = events(None, &["nobody"]);
        assert!(
            result
                .unwrap_err()
                .starts_with("Error: nobody: VM does not exist\n")
        );
    }
}
