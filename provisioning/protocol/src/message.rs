//! What is said on the streams: the target of an OPEN, the agent's events, requests and replies.
//!
//! Events, requests and replies travel as JSON lines of at most [`MAX_LINE`] bytes.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::publish::Protocol;
use crate::sockets::MissingSocket;

/// The longest JSON line that a reader takes, without its newline.
pub const MAX_LINE: usize = 64 * 1024;

/// What a new stream is to be joined to: the payload of OPEN.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// An engine's API socket in the guest; opened by the host.
    Engine(Engine),
    /// The agent's [`AgentEvent`] lines; opened by the agent.
    AgentEvents,
    /// [`AgentRequest`] lines and their replies; opened by the host.
    AgentControl,
    /// The guest's SSH server; opened by the host.
    Ssh,
    /// A program to be run in the guest, with what [`crate::exec`] says on the stream; opened by the host.
    Exec,
    /// Everything sent is thrown away; for tests and measurements.
    Discard,
    /// So many zero bytes, then the end; for tests and measurements.
    Source {
        /// How many.
        bytes: u64,
    },
    /// Everything sent comes back; for tests and measurements.
    Echo,
    /// A port of the guest's loopback; opened by the host. Datagrams travel as [`crate::publish::datagram`] says.
    Port {
        /// The protocol.
        protocol: Protocol,
        /// The port.
        port: u16,
    },
    /// One [`crate::publish::PublishRequest`] and its reply; opened by the agent.
    Publish,
    /// A socket of the host, for a client of this path in the guest; opened by the agent.
    Socket {
        /// The path in the guest.
        guest: String,
    },
}

/// Which of the guest's two engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// Root's engine.
    Rootful,
    /// The engine of the machine's user.
    Rootless,
}

/// A part of the guest that is looked after besides the engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// The SSH server.
    Ssh,
    /// The clock.
    Clock,
    /// The time zone that the host gave.
    TimeZone,
    /// The proxies that the host gave.
    Proxies,
    /// The swap space that was asked for.
    Swap,
    /// The host's certificate authorities.
    Certificates,
    /// The link at `/run/docker.sock`.
    DockerSocket,
    /// Name resolution in the guest.
    Dns,
    /// The guest's root file system: its free space.
    Storage,
    /// The names of the host.
    HostNames,
    /// The service by which engines publish ports.
    Ports,
    /// Folders of the host.
    Shares,
    /// Sockets of the host.
    Sockets,
    /// The disk for what the engines keep.
    DataDisk,
    /// That its file system is as large as the disk.
    DataDiskSize,
    /// What runs programs of another architecture.
    Translator,
}

/// Something that happened in the guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum AgentEvent {
    /// The agent runs and the link is up.
    Started {
        /// Build of the agent.
        build: String,
        /// The kernel's id of this boot.
        boot_id: String,
        /// Since the guest's kernel started.
        uptime_ms: u64,
    },
    /// An engine answered `/_ping`.
    EngineReady {
        /// Which.
        engine: Engine,
        /// Since the guest's kernel started.
        uptime_ms: u64,
    },
    /// An engine's socket listens.
    SocketListening {
        /// Whose.
        engine: Engine,
    },
    /// The guest's service manager has finished its start.
    BootFinished {
        /// What `systemctl is-system-running` says.
        state: String,
        /// Units that failed.
        failed_units: Vec<String>,
    },
    /// An engine will not answer.
    EngineFailed {
        /// Which.
        engine: Engine,
        /// In one sentence.
        reason: String,
        /// The log's last lines.
        detail: Vec<String>,
    },
    /// A part of the guest works, or does not. A later event about the same part replaces this one.
    Health {
        /// Which.
        part: Part,
        /// What is wrong, in one sentence; `None` when it works.
        problem: Option<String>,
    },
}

/// A request to the agent; each is answered by one [`AgentReply`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum AgentRequest {
    /// Turn the guest off in good order.
    PowerOff,
    /// Say what is wrong in the guest.
    Diagnose,
    /// Say what the agent uses.
    Statistics,
    /// Let the guest's `/run/docker.sock` lead to this engine, and report whether that engine answers.
    SetMode {
        /// Whether it is root's.
        rootful: bool,
    },
    /// Say what time it is in the guest.
    ReadClock,
    /// Move the guest's clock. A distance, not a time: a request that lay in a queue is still right.
    StepClock {
        /// How far, in nanoseconds; negative is backwards.
        delta_ns: i64,
    },
    /// End the session over this carrier, which the host has lost: a carrier may break without telling the guest.
    CarrierLost {
        /// Its name in the hello.
        carrier: String,
    },
    /// Let nobody come to wait for a folder of the host, whose program there has ended.
    ShareLost {
        /// Its place in the guest.
        target: String,
    },
    /// Let programs of the guest that watch these files look at them again, for the host has changed them. Done when it is
    /// answered; what is not there is passed over.
    FilesChanged {
        /// The place in the guest of the folder of the host.
        target: String,
        /// The files and directories, as paths from the folder on, with `/` between names; the folder itself is empty.
        paths: Vec<String>,
    },
    /// Listen at these paths for clients of the host's sockets, and at no others.
    SetSockets {
        /// The paths in the guest.
        sockets: Vec<String>,
    },
    /// Say which servers of the guest listen, now and whenever that changes, by
    /// [`crate::publish::Wanted::Listeners`]; or say it no more.
    WatchListeners {
        /// Whether it is to be said.
        on: bool,
    },
}

/// The answer to an [`AgentRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub enum AgentReply {
    /// It will be done.
    Accepted,
    /// Answer to [`AgentRequest::Diagnose`].
    Diagnosis {
        /// What `systemctl is-system-running` says.
        state: String,
        /// Units that failed.
        failed_units: Vec<String>,
        /// Lines for a person.
        detail: Vec<String>,
    },
    /// Answer to [`AgentRequest::Statistics`].
    Statistics {
        /// Resident memory of the agent.
        resident_kib: u64,
        /// Streams that are open on this link.
        streams: u64,
        /// Bytes received and not yet passed on.
        buffered_bytes: u64,
        /// The most that was ever buffered on this link.
        peak_buffered_bytes: u64,
    },
    /// Answer to [`AgentRequest::ReadClock`].
    Clock {
        /// The guest's time in nanoseconds since 1970 (UTC).
        unix_ns: i64,
    },
    /// Answer to [`AgentRequest::SetSockets`]: the agent listens at all paths but these.
    Sockets {
        /// Which, and why.
        missing: Vec<MissingSocket>,
    },
    /// It cannot be done.
    Failed {
        /// In one sentence.
        reason: String,
    },
}

/// A line that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// No newline within the bytes that a line may have.
    #[error("A line is longer than it may be")]
    TooLong,
    /// Not the JSON that was expected.
    #[error("A line is not the expected JSON")]
    Json(#[source] serde_json::Error),
}

/// One message as a line, newline included.
pub fn to_line<T: Serialize>(message: &T) -> Result<Vec<u8>, LineError> {
    to_line_within(message, MAX_LINE)
}

/// [`to_line`] with another limit.
pub fn to_line_within<T: Serialize>(message: &T, limit: usize) -> Result<Vec<u8>, LineError> {
    let mut line = serde_json::to_vec(message).map_err(LineError::Json)?;
    if line.len() > limit {
        return Err(LineError::TooLong);
    }
    line.push(b'\n');
    Ok(line)
}

/// Cuts what arrives into lines; holds at most one incomplete line.
#[derive(Debug)]
pub struct LineBuffer {
    bytes: Vec<u8>,
    limit: usize,
}

impl Default for LineBuffer {
    fn default() -> Self {
        Self::with_limit(MAX_LINE)
    }
}

impl LineBuffer {
    /// For lines of at most so many bytes.
    pub fn with_limit(limit: usize) -> Self {
        Self {
            bytes: Vec::new(),
            limit,
        }
    }

    /// Adds what arrived. Take all messages out before adding more, or the buffer grows.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next complete message; `None` when more bytes are needed.
    pub fn next_message<T: DeserializeOwned>(&mut self) -> Result<Option<T>, LineError> {
        let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n') else {
            return if self.bytes.len() > self.limit {
                Err(LineError::TooLong)
            } else {
                Ok(None)
            };
        };
        if end > self.limit {
            return Err(LineError::TooLong);
        }
        let message = serde_json::from_slice(&self.bytes[..end]).map_err(LineError::Json);
        self.bytes.drain(..=end);
        message.map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_keep_their_form() {
        for (target, json) in [
            (Target::Engine(Engine::Rootful), r#"{"engine":"rootful"}"#),
            (Target::Engine(Engine::Rootless), r#"{"engine":"rootless"}"#),
            (Target::AgentEvents, r#""agent-events""#),
            (Target::AgentControl, r#""agent-control""#),
            (Target::Ssh, r#""ssh""#),
            (Target::Exec, r#""exec""#),
            (Target::Discard, r#""discard""#),
            (Target::Source { bytes: 7 }, r#"{"source":{"bytes":7}}"#),
            (Target::Echo, r#""echo""#),
            (
                Target::Port {
                    protocol: Protocol::Udp,
                    port: 53,
                },
                r#"{"port":{"protocol":"udp","port":53}}"#,
            ),
            (Target::Publish, r#""publish""#),
            (
                Target::Socket {
                    guest: "/run/host/a.sock".to_owned(),
                },
                r#"{"socket":{"guest":"/run/host/a.sock"}}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&target).unwrap(), json);
            assert_eq!(serde_json::from_str::<Target>(json).unwrap(), target);
        }
    }

    #[test]
    fn events_requests_and_replies_are_tagged() {
        let event = AgentEvent::EngineReady {
            engine: Engine::Rootless,
            uptime_ms: 3,
        };
        assert_eq!(
            to_line(&event).unwrap(),
            b"{\"event\":\"engine-ready\",\"engine\":\"rootless\",\"uptime_ms\":3}\n"
        );
        assert_eq!(
            to_line(&AgentRequest::PowerOff).unwrap(),
            b"{\"request\":\"power-off\"}\n"
        );
        assert_eq!(
            to_line(&AgentReply::Accepted).unwrap(),
            b"{\"reply\":\"accepted\"}\n"
        );
    }

    #[test]
    fn lines_are_cut_wherever_the_bytes_are_cut() {
        let mut wire = to_line(&AgentRequest::PowerOff).unwrap();
        wire.extend(to_line(&AgentRequest::Diagnose).unwrap());
        for cut in 0..wire.len() {
            let mut lines = LineBuffer::default();
            let mut seen = Vec::new();
            for part in [&wire[..cut], &wire[cut..]] {
                lines.push(part);
                while let Some(request) = lines.next_message::<AgentRequest>().unwrap() {
                    seen.push(request);
                }
            }
            assert_eq!(
                seen,
                [AgentRequest::PowerOff, AgentRequest::Diagnose],
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn a_line_without_end_and_a_line_of_rubbish_are_errors() {
        let mut lines = LineBuffer::default();
        lines.push(&vec![b'x'; MAX_LINE + 1]);
        assert!(matches!(
            lines.next_message::<AgentRequest>(),
            Err(LineError::TooLong)
        ));
        let mut lines = LineBuffer::default();
        lines.push(b"rubbish\n{\"request\":\"statistics\"}\n");
        assert!(matches!(
            lines.next_message::<AgentRequest>(),
            Err(LineError::Json(_))
        ));
        assert_eq!(
            lines.next_message().unwrap(),
            Some(AgentRequest::Statistics)
        );
    }
}
