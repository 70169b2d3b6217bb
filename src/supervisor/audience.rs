//! Everybody who is told what happens: the log, the command that started this process, and clients of the control
//! socket.

use std::io::Write;
use std::path::Path;

use tokio::sync::{mpsc, watch};

use super::control::{Greeting, Reply, WireStatus};
use super::events::{self, Event, EventLog, Stamped};
use super::lifecycle::{RequestId, State};

/// Who is told, and what was told so far.
#[derive(Debug)]
pub(super) struct Audience {
    log: EventLog,
    greeting: watch::Sender<Greeting>,
    /// The events of the start, for clients that come in its middle.
    start: Vec<Stamped>,
    /// True until the start has ended, one way or the other: the starting command reads standard output.
    starting: bool,
    followers: Vec<mpsc::Sender<Reply>>,
    stoppers: Vec<mpsc::Sender<Reply>>,
}

impl Audience {
    /// The log at `path`, and clients that get the greeting.
    pub(super) fn new(path: &Path, greeting: watch::Sender<Greeting>) -> Self {
        Self {
            log: EventLog::open(path),
            greeting,
            start: Vec::new(),
            starting: true,
            followers: Vec::new(),
            stoppers: Vec::new(),
        }
    }

    /// Tells everybody.
    pub(super) fn announce(&mut self, event: Event) {
        let stamped = self.log.write(event);
        // A follower that lags too far, or has hung up, is none any more.
        self.followers
            .retain(|follower| follower.try_send(Reply::Event(stamped.clone())).is_ok());
        if self.starting {
            tell_starter(&stamped);
            self.starting = !stamped.event.ends_start();
            self.start.push(stamped);
        }
    }

    /// Tells a client all events of the start, and those that follow.
    pub(super) fn follow(&mut self, replies: mpsc::Sender<Reply>) {
        let mut start = self.start.iter();
        let told = start.try_for_each(|event| replies.try_send(Reply::Event(event.clone())));
        if told.is_ok() {
            self.followers.push(replies);
        }
    }

    /// Keeps a client that is told when the machine has stopped; returns its number.
    pub(super) fn wait_for_stop(&mut self, replies: mpsc::Sender<Reply>) -> RequestId {
        self.stoppers.push(replies);
        self.stoppers.len() as RequestId
    }

    /// What new clients are told of the machine.
    pub(super) fn publish(&self, state: &State) {
        let status = match state {
            State::Starting(phase) => WireStatus::Starting { phase: *phase },
            State::Running(None) => WireStatus::Running,
            State::Running(Some(reason)) => WireStatus::Degraded {
                reason: reason.clone(),
            },
            State::Stopping(_) | State::Ended => WireStatus::Stopping,
        };
        self.greeting
            .send_modify(|greeting| greeting.status = status);
    }

    /// What new clients are told of the VM.
    pub(super) fn publish_vm(&self, pid: u32) {
        self.greeting
            .send_modify(|greeting| greeting.vm_pid = Some(pid));
    }

    /// The last word to those who wait for the end.
    pub(super) fn dismiss(self) {
        for replies in self.stoppers {
            // A client that has hung up does not care.
            let _ = replies.try_send(Reply::Stopped);
        }
    }
}

/// Writes an event for the command that started this process. It may be gone, which changes nothing here.
pub(super) fn tell_starter(event: &Stamped) {
    let mut starter = std::io::stdout();
    let _ = starter
        .write_all(events::line(event).as_bytes())
        .and_then(|()| starter.flush());
}
