//! What a supervisor reports: typed events, their line in `events.jsonl`, and the log that writes them.
//!
//! The same lines go to three readers: the log file, the `start` command that waits on the supervisor's standard
//! output, and every client that follows the control socket.

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::network::publish::OpenPort;

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

/// What kind of failure it is. Texts may change from release to release, these words do not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// The hypervisor, its programs or its files are missing or refuse.
    Provider,
    /// The agent's program is missing on the host.
    AgentMissing,
    /// A file of the machine cannot be read or written.
    HostFiles,
    /// The data disk cannot be used, says the host or the guest.
    DataDisk,
    /// The firmware found nothing to boot, or nothing for this architecture.
    NotBootable,
    /// The guest's kernel panicked.
    KernelPanic,
    /// Ignition refused its configuration or could not carry it out.
    Ignition,
    /// The guest is in emergency or rescue mode.
    EmergencyMode,
    /// The guest's disk is full.
    GuestDiskFull,
    /// The guest ran out of memory.
    GuestMemory,
    /// An engine of the guest does not answer.
    EngineFailed,
    /// The agent ended again and again.
    AgentCrash,
    /// The agent has another secret or another protocol than this host.
    AgentRefused,
    /// The guest reset itself again and again.
    ResetLoop,
    /// The guest powered itself off.
    PoweredOff,
    /// The VM process ended.
    VmDied,
    /// It took too long, or nothing was heard for too long.
    TooSlow,
    /// Anything else.
    #[default]
    #[serde(other)]
    Other,
}

impl Code {
    /// The word that stands for it in lines and answers.
    pub fn word(self) -> String {
        // A kind without fields is its word, for which there is no failing case.
        let word = serde_json::to_value(self).unwrap_or_default();
        word.as_str().unwrap_or("other").to_owned()
    }
}

/// Why a start or a running machine failed, in a form that can cross a process boundary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of failure it is.
    #[serde(default)]
    pub code: Code,
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
            code: Code::Other,
            message: message.into(),
            detail: Vec::new(),
            hints: Vec::new(),
        }
    }

    /// Says what kind of failure it is.
    #[must_use]
    pub fn coded(mut self, code: Code) -> Self {
        self.code = code;
        self
    }

    /// Adds a line of explanation.
    #[must_use]
    pub fn because(mut self, line: impl Into<String>) -> Self {
        self.detail.push(line.into());
        self
    }

    /// The failure in one line, for where it is only a warning.
    pub fn in_a_line(&self) -> String {
        let detail = self.detail.iter().map(String::as_str);
        let words: Vec<&str> = std::iter::once(self.message.as_str())
            .chain(detail)
            .collect();
        words.join(": ")
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
    /// The guest's clock was set by the host's.
    ClockSet {
        /// By how much, in milliseconds; negative is backwards.
        by_ms: i64,
    },
    /// The guest trusts the certificate authorities that the host trusts.
    CertificatesImported,
    /// The machine's SSH port was taken by another program; another port leads to the guest now.
    SshPortChanged {
        /// The taken one.
        from: u16,
        /// The new one.
        to: u16,
    },
    /// The API socket leads to another engine now.
    ModeChanged {
        /// True for root's.
        rootful: bool,
    },
    /// A port of the host leads to the guest.
    PortOpened(OpenPort),
    /// It does no more.
    PortClosed(OpenPort),
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

/// Renames a log that has grown too long to `NAME.old`, so that what follows begins a new one.
pub fn set_aside_overgrown(path: &Path) {
    if !fs_err::metadata(path).is_ok_and(|found| found.len() > ROTATE_AT) {
        return;
    }
    let mut old = path.as_os_str().to_owned();
    old.push(".old");
    if let Err(error) = fs_err::rename(path, PathBuf::from(old)) {
        tracing::warn!(%error, "A log could not be set aside");
    }
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
        set_aside_overgrown(path);
        let file = machine_host::access::open_to_append(path).and_then(|file| {
            let mut file = fs_err::File::from_parts(file, path);
            end_line(&mut file)?;
            Ok(file)
        });
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

/// Ends a line that a full disk or a crash has torn, so that it takes no event with it.
fn end_line(file: &mut fs_err::File) -> std::io::Result<()> {
    if file.metadata()?.len() == 0 {
        return Ok(());
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    if last != *b"\n" {
        file.write_all(b"\n")?;
    }
    Ok(())
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

    fn open_port() -> OpenPort {
        let text =
            r#"{"owner":"container","protocol":"tcp","address":"::1","port":8080,"guest_port":80}"#;
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_port_is_told_with_all_that_is_known_of_it() {
        let text = line(&stamped(Event::PortOpened(open_port())));
        assert_eq!(
            text,
            "{\"time\":\"2026-11-24T10:00:00.5Z\",\"event\":\"port-opened\",\"owner\":\"container\",\"protocol\":\"tcp\",\"address\":\"::1\",\"port\":8080,\"guest_port\":80}\n"
        );
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
            Event::PortOpened(open_port()),
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
    fn a_code_is_one_word() {
        assert_eq!(Code::VmDied.word(), "vm-died");
        assert_eq!(Code::Other.word(), "other");
    }

    #[test]
    fn a_torn_line_takes_no_event_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        fs_err::write(&path, "{\"time\":").unwrap();
        EventLog::open(&path).write(Event::Ready);
        EventLog::open(&path).write(Event::Stopped);
        let text = fs_err::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines.len(), lines[0]), (3, "{\"time\":"));
        for (line, event) in [(lines[1], Event::Ready), (lines[2], Event::Stopped)] {
            assert_eq!(serde_json::from_str::<Stamped>(line).unwrap().event, event);
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
