//! Everybody who is told what happens: the log, the command that started this process, and clients of the control
//! socket.

use std::io::Write;
use std::path::Path;

use machine_host::local_socket;
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
    /// True until the start has ended, one way or the other.
    starting: bool,
    starter: Starter,
    followers: Vec<mpsc::Sender<Reply>>,
    stoppers: Vec<mpsc::Sender<Reply>>,
}

impl Audience {
    /// The log at `path`, and clients that get the greeting.
    pub(super) fn new(path: &Path, greeting: watch::Sender<Greeting>, starter: Starter) -> Self {
        Self {
            log: EventLog::open(path),
            greeting,
            start: Vec::new(),
            starting: true,
            starter,
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
            self.starter.tell(&stamped);
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

/// Whoever started this process and waits for the start to end.
pub enum Starter {
    /// A command that reads standard output.
    Output,
    /// A command that listened at a socket.
    Socket(Box<dyn Write + Send>),
    /// Nobody: the system has started again what had died.
    Nobody,
}

impl std::fmt::Debug for Starter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Output => "Output",
            Self::Socket(_) => "Socket",
            Self::Nobody => "Nobody",
        })
    }
}

impl Starter {
    /// The one who listens at `socket`, or reads standard output where there is none. A command listens once, so nobody
    /// listens to a process that the system has started again.
    pub fn find(socket: Option<&Path>) -> Self {
        match socket.map(local_socket::connect_writer) {
            None => Self::Output,
            Some(Ok(writer)) => Self::Socket(writer),
            Some(Err(_)) => Self::Nobody,
        }
    }

    /// Tells an event. Whoever has gone, or does not read, changes nothing here.
    pub(super) fn tell(&mut self, event: &Stamped) {
        let line = events::line(event);
        let told = match self {
            Self::Output => {
                let mut output = std::io::stdout();
                output
                    .write_all(line.as_bytes())
                    .and_then(|()| output.flush())
            }
            Self::Socket(writer) => writer.write_all(line.as_bytes()),
            Self::Nobody => return,
        };
        if told.is_err() {
            *self = Self::Nobody;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_starter_listens_once() {
        use tokio::io::AsyncReadExt as _;
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s");
        let mut listener = local_socket::bind(&socket).unwrap();
        let mut starter = Starter::find(Some(&socket));
        let mut stream = listener.accept().await.unwrap();
        let stamped = Stamped {
            time: jiff::Timestamp::UNIX_EPOCH,
            event: events::Event::Ready,
        };
        starter.tell(&stamped);
        drop(starter);
        let mut told = String::new();
        stream.read_to_string(&mut told).await.unwrap();
        assert_eq!(told, events::line(&stamped));
        drop(listener);
        assert!(matches!(Starter::find(Some(&socket)), Starter::Nobody));
        assert!(matches!(Starter::find(None), Starter::Output));
    }
}
