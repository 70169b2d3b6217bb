//! What a supervisor reports: typed events, their line in `events.jsonl`, and the log that writes them.
//!
//! The same lines go to three readers: the log file, the `start` command that waits on the supervisor's standard
//! output, and every client that follows the control socket.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A log that has grown past this many bytes is set aside when the next supervisor starts.
const ROTATE_AT: u64 = 1 << 20;

/// The steps of a start, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Looking for the provider's programs and an accelerator that works.
    Resolve,
    /// Writing the seed disk: agent, secret and parameters of this boot.
    Seed,
    /// Starting the VM process.
    Launch,
    /// Waiting for the guest's agent to prove itself over the link.
    Link,
    /// Waiting for both engines of the guest.
    Engine,
}

impl Phase {
    /// What the phase waits for, as part of a sentence.
    pub fn description(self) -> &'static str {
        match self {
            Self::Resolve => "looking for the hypervisor and an accelerator",
            Self::Seed => "writing the seed disk",
            Self::Launch => "starting the virtual machine",
            Self::Link => "waiting for the guest's agent",
            Self::Engine => "waiting for the container engine",
        }
    }
}

/// Why a start or a running machine failed, in a form that can cross a process boundary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The first line: what failed.
    pub message: String,
    /// Why, most important line first; console lines and failed units come here.
    #[serde(default)]
    pub detail: Vec<String>,
    /// What to do next, each an instruction.
    #[serde(default)]
    pub hints: Vec<String>,
}

impl Failure {
    /// A failure with its first line only.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            detail: Vec::new(),
            hints: Vec::new(),
        }
    }

    /// Adds a line of explanation.
    #[must_use]
    pub fn because(mut self, line: impl Into<String>) -> Self {
        self.detail.push(line.into());
        self
    }

    /// Adds an instruction.
    #[must_use]
    pub fn hint(mut self, line: impl Into<String>) -> Self {
        self.hints.push(line.into());
        self
    }
}

/// Something that happened to a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A step of the start begins.
    Phase {
        /// The step.
        phase: Phase,
    },
    /// Something the user should know, though the start goes on.
    Warning {
        /// One sentence.
        message: String,
    },
    /// The VM process runs.
    Launched {
        /// Its process number.
        pid: u32,
    },
    /// The guest's agent has proved itself.
    LinkUp {
        /// The agent's build.
        agent: String,
        /// The carrier that won.
        carrier: String,
    },
    /// The link ended; the guest may be rebooting.
    LinkDown {
        /// Why.
        reason: String,
    },
    /// The guest's engine of the configured mode answers.
    EngineAnswers,
    /// Both engines are there and the API socket is open.
    Ready,
    /// The machine runs, but not all of it works.
    Degraded {
        /// What does not work.
        reason: String,
    },
    /// What was degraded works again.
    Recovered,
    /// The guest reboots.
    Rebooting,
    /// The machine is being stopped.
    Stopping,
    /// The machine has stopped in order.
    Stopped,
    /// The start failed or the machine died.
    Failed(Failure),
    /// Another supervisor runs the machine; this one leaves.
    Occupied,
}

impl Event {
    /// True when nothing follows for whoever waits for a start to end.
    pub fn ends_start(&self) -> bool {
        matches!(
            self,
            Self::Ready | Self::Stopped | Self::Failed(_) | Self::Occupied
        )
    }
}

/// An event with its time: one line of `events.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamped {
    /// Wall-clock time (RFC 3339, nanoseconds).
    pub time: jiff::Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// Appends events to the log file of one machine.
#[derive(Debug)]
pub struct EventLog {
    path: PathBuf,
    file: Option<fs_err::File>,
}

impl EventLog {
    /// Opens the log for appending and sets an overgrown one aside as `NAME.old`.
    ///
    /// A log that cannot be written must not keep a machine from running: the error is traced and the log stays closed.
    pub fn open(path: &Path) -> Self {
        if fs_err::metadata(path).is_ok_and(|found| found.len() > ROTATE_AT)
            && let Err(error) = fs_err::rename(path, path.with_extension("jsonl.old"))
        {
            tracing::warn!(%error, "The event log could not be set aside");
        }
        let file = fs_err::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path);
        Self {
            path: path.to_owned(),
            file: file
                .inspect_err(|error| tracing::warn!(%error, "There will be no event log"))
                .ok(),
        }
    }

    /// Stamps and writes one event; returns the line's value for other readers.
    pub fn write(&mut self, event: Event) -> Stamped {
        let stamped = Stamped {
            time: jiff::Timestamp::now(),
            event,
        };
        if let Some(file) = &mut self.file
            && let Err(error) = file.write_all(line(&stamped).as_bytes())
        {
            tracing::warn!(%error, path = %self.path.display(), "The event log is lost");
            self.file = None;
        }
        stamped
    }
}

/// One event as its line, with the newline.
pub fn line(stamped: &Stamped) -> String {
    // Events are plain data with string keys, for which serialisation has no failing case; an empty line is skipped
    // by every reader.
    let mut text = serde_json::to_string(stamped).unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamped(event: Event) -> Stamped {
        Stamped {
            time: "2026-11-24T10:00:00.5Z".parse().unwrap(),
            event,
        }
    }

    #[test]
    fn an_event_is_one_line_with_its_kind() {
        let text = line(&stamped(Event::Phase { phase: Phase::Link }));
        assert_eq!(
            text,
            "{\"time\":\"2026-11-24T10:00:00.5Z\",\"event\":\"phase\",\"phase\":\"link\"}\n"
        );
    }

    #[test]
    fn every_event_survives_its_line() {
        let failure = Failure::new("no").because("two\nlines").hint("try");
        for event in [
            Event::Ready,
            Event::Launched { pid: 7 },
            Event::Degraded {
                reason: "link lost".into(),
            },
            Event::Failed(failure),
        ] {
            let before = stamped(event);
            let text = line(&before);
            assert_eq!(text.matches('\n').count(), 1);
            assert_eq!(serde_json::from_str::<Stamped>(&text).unwrap(), before);
        }
    }

    #[test]
    fn an_overgrown_log_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        fs_err::write(&path, vec![b'x'; usize::try_from(ROTATE_AT).unwrap() + 1]).unwrap();
        EventLog::open(&path).write(Event::Ready);
        assert!(fs_err::read_to_string(&path).unwrap().contains("ready"));
        assert!(folder.path().join("events.jsonl.old").exists());
    }
}
