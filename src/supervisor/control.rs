//! The control protocol between the command line and a supervisor: JSON lines over a local socket.
//!
//! 1. The supervisor greets with one [`Greeting`] line as soon as a client connects, so a status costs one read.
//! 2. A client that wants more sends one [`Request`] line.
//! 3. The supervisor answers with [`Reply`] lines until it closes the connection.
//!
//! Both ends name the oldest and the newest protocol they speak; the newest that both know is used
//! ([`Greeting::negotiate`]), so that a command of one release talks to a supervisor of the one before and after it.

use machine_protocol::message::Target;
use machine_protocol::sockets::MissingSocket;
use serde::{Deserialize, Serialize};

use super::events::{Phase, Stamped};
use crate::network::publish::{MissingPort, OpenPort};

/// This build, as clients, the agent and the record of a VM are told: the version and, behind a plus sign, what tells
/// builds of one version apart (`packaging/build-id.rs`).
pub const BUILD: &str = concat!(env!("CARGO_PKG_VERSION"), "+", env!("MACHINE_BUILD_ID"));
/// The newest protocol that this build speaks. Version 2 added [`Request::HandOver`].
pub const NEWEST: u32 = 2;
/// The oldest protocol that this build speaks.
pub const OLDEST: u32 = 1;
/// The first protocol with [`Request::HandOver`].
const HAND_OVER: u32 = 2;
/// A line longer than this many bytes is not of this protocol.
pub const LINE_LIMIT: u64 = 256 * 1024;

/// The supervisor's first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting {
    /// The newest protocol that the supervisor speaks.
    pub newest: u32,
    /// The oldest protocol that the supervisor speaks.
    pub oldest: u32,
    /// The supervisor's version.
    pub build: String,
    /// The supervisor's process number.
    pub pid: u32,
    /// The VM's process number, once there is one.
    pub vm_pid: Option<u32>,
    /// Where the machine stands.
    pub status: WireStatus,
}

impl Greeting {
    /// The protocol to speak, or `None` when the two builds have none in common.
    pub fn negotiate(&self) -> Option<u32> {
        let version = self.newest.min(NEWEST);
        (version >= self.oldest.max(OLDEST)).then_some(version)
    }

    /// Whether the supervisor can be asked to leave without its machine.
    pub fn knows_hand_over(&self) -> bool {
        self.negotiate().is_some_and(|version| version >= HAND_OVER)
    }
}

/// A build as users see it beside another one: its version, and more only where that is the same.
pub fn told_apart<'b>(build: &'b str, other: &str) -> &'b str {
    let version = |build: &'b str| build.split('+').next().unwrap_or(build);
    if version(build) == other.split('+').next().unwrap_or(other) {
        build
    } else {
        version(build)
    }
}

/// A machine's state as it crosses the control socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum WireStatus {
    /// On the way up.
    Starting {
        /// The step that is under way.
        phase: Phase,
    },
    /// Up and whole.
    Running,
    /// Up, but something does not work.
    Degraded {
        /// What does not work.
        reason: String,
    },
    /// On the way down.
    Stopping,
}

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum Request {
    /// Send the events of this run from its beginning, then all that follow.
    Follow {
        /// The protocol that was negotiated.
        protocol: u32,
    },
    /// Stop the machine and answer when it has stopped.
    Stop {
        /// The protocol that was negotiated.
        protocol: u32,
        /// True to skip the steps that need the guest's help.
        #[serde(default)]
        force: bool,
    },
    /// Read `machine.toml` again and apply what a running machine can take: its mode, its ports and its
    /// sockets.
    Reload {
        /// The protocol that was negotiated.
        protocol: u32,
    },
    /// Say which ports of the host lead to the guest.
    Ports {
        /// The protocol that was negotiated.
        protocol: u32,
    },
    /// Say what the link holds.
    Statistics {
        /// The protocol that was negotiated.
        protocol: u32,
    },
    /// Join this connection to a target in the guest. After [`Reply::Joined`] the connection carries the target's
    /// bytes and nothing else; until then the client sends nothing. For programs to be run in the guest, measurements
    /// and self-tests.
    Tunnel {
        /// The protocol that was negotiated.
        protocol: u32,
        /// What to join.
        target: Target,
    },
    /// Leave the machine to another supervisor: the VM and the programs beside it stay as they are. Since protocol 2.
    HandOver {
        /// The protocol that was negotiated.
        protocol: u32,
        /// The build that takes over.
        to: String,
    },
}

/// What the supervisor answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub enum Reply {
    /// Something happened.
    Event(Stamped),
    /// The machine has stopped; nothing follows.
    Stopped,
    /// A configured port is not open, though `machine.toml` was read again.
    Missing(MissingPort),
    /// The guest could not make a socket, though `machine.toml` was read again.
    MissingSocket(MissingSocket),
    /// `machine.toml` was read again and is in force.
    Reloaded,
    /// What the link holds.
    Statistics {
        /// Streams that are open.
        streams: u64,
        /// Bytes received from the guest and not yet passed on.
        buffered_bytes: u64,
        /// The most that was ever buffered.
        peak_buffered_bytes: u64,
    },
    /// A port of the host that leads to the guest.
    Port(OpenPort),
    /// That was the last port.
    Listed,
    /// The connection is joined to its target.
    Joined,
    /// The machine is nobody's: its locks and sockets are free, and its VM runs. Nothing follows.
    HandedOver,
    /// The request was not understood; nothing follows.
    Refused {
        /// Why, for the user.
        reason: String,
    },
}

/// A message as its line, with the newline.
pub fn line<T: Serialize>(message: &T) -> Vec<u8> {
    // Plain data with string keys: serialisation has no failing case, and an empty line would be refused.
    let mut text = serde_json::to_vec(message).unwrap_or_default();
    text.push(b'\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greeting(oldest: u32, newest: u32) -> Greeting {
        Greeting {
            newest,
            oldest,
            build: "x".into(),
            pid: 1,
            vm_pid: None,
            status: WireStatus::Running,
        }
    }

    #[test]
    fn the_newest_common_protocol_is_used() {
        assert_eq!(greeting(1, 1).negotiate(), Some(1));
        assert_eq!(
            greeting(1, 9).negotiate(),
            Some(NEWEST),
            "a newer supervisor that still speaks ours"
        );
        assert_eq!(
            greeting(NEWEST + 1, NEWEST + 2).negotiate(),
            None,
            "a supervisor that forgot ours"
        );
    }

    #[test]
    fn who_knows_the_hand_over() {
        for (oldest, newest, knows) in [(1, 1, false), (1, 2, true), (2, 9, true), (8, 9, false)] {
            assert_eq!(
                greeting(oldest, newest).knows_hand_over(),
                knows,
                "{oldest} to {newest}"
            );
        }
    }

    #[test]
    fn a_build_is_shown_as_short_as_can_be() {
        assert_eq!(told_apart("0.1.0+aaaaaaaa", "0.2.0+bbbbbbbb"), "0.1.0");
        assert_eq!(
            told_apart("0.1.0+aaaaaaaa", "0.1.0+bbbbbbbb"),
            "0.1.0+aaaaaaaa"
        );
        // The builds of before had nothing but their version.
        assert_eq!(told_apart("0.1.0", "0.1.0+bbbbbbbb"), "0.1.0");
        let (version, id) = BUILD.split_once('+').unwrap();
        assert_eq!((version, id.len()), (env!("CARGO_PKG_VERSION"), 8));
    }

    #[test]
    fn messages_of_a_newer_release_with_more_fields_are_read() {
        let text = r#"{"newest":2,"oldest":1,"build":"9","pid":1,"vm_pid":null,"status":{"state":"running","since":"x"},"more":1}"#;
        assert_eq!(
            serde_json::from_str::<Greeting>(text).unwrap().negotiate(),
            Some(2)
        );
    }

    #[test]
    fn every_message_is_one_line() {
        let request = Request::Stop {
            protocol: 1,
            force: true,
        };
        assert_eq!(
            line(&request),
            b"{\"request\":\"stop\",\"protocol\":1,\"force\":true}\n"
        );
        assert_eq!(line(&Reply::Stopped), b"{\"reply\":\"stopped\"}\n");
        let request = Request::HandOver {
            protocol: 2,
            to: "9".to_owned(),
        };
        assert_eq!(
            line(&request),
            b"{\"request\":\"hand-over\",\"protocol\":2,\"to\":\"9\"}\n"
        );
    }
}
