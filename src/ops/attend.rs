//! `start --foreground`: stays with a machine that is up until it has stopped.

use std::future::Future;

use crate::machine::{MachineName, Status};
use crate::ops::adopt;
use crate::ops::stop::{self, StopError};
use crate::ops::successor;
use crate::store::{MachineFiles, Store};
use crate::supervisor::client::{self, ClientError, Connection};
use crate::supervisor::control::Reply;
use crate::supervisor::events::{Event, Failure, Stamped};

/// Why the machine is not attended any more, other than that it was stopped.
#[derive(Debug, thiserror::Error)]
pub enum AttendError {
    /// It died.
    #[error("{}", failure.message)]
    Failed {
        /// What failed, why, and what to do.
        failure: Failure,
    },
    /// Its supervisor died, and the VM goes on.
    #[error("The supervisor of \"{name}\" ended; its virtual machine runs on")]
    Orphaned {
        /// The machine.
        name: MachineName,
    },
    /// The supervisor cannot be talked to.
    #[error("Machine \"{name}\" cannot be followed")]
    Client {
        /// The machine.
        name: MachineName,
        /// Why.
        #[source]
        source: ClientError,
    },
    /// It was to be stopped, and that failed.
    #[error(transparent)]
    Stop(#[from] StopError),
}

impl AttendError {
    /// Lines that explain the error beyond its causes.
    pub fn detail(&self) -> Vec<String> {
        match self {
            Self::Failed { failure } => failure.detail.clone(),
            _ => Vec::new(),
        }
    }

    /// What happened, for programs; the words stay the same for ever.
    pub fn code(&self) -> String {
        let word = match self {
            Self::Failed { failure } => return failure.code.word(),
            Self::Orphaned { .. } => "supervisor-died",
            Self::Client { .. } => "supervisor-unreachable",
            Self::Stop(_) => "not-stopped",
        };
        word.to_owned()
    }

    /// What to do next.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Failed { failure } => failure.hints.clone(),
            Self::Orphaned { name } => vec![format!("take it over: machine start {name}")],
            Self::Stop(error) => error.hints(),
            Self::Client { .. } => Vec::new(),
        }
    }
}

/// How often a machine may lose its supervisor before nobody attends it any more.
const SUCCESSORS: usize = 8;

/// Waits until the machine has stopped; one that gets another supervisor meanwhile is followed there. Events after the
/// start, which is over, go to `observe`. `interrupt` gives the user's wish to stop: the first one stops the machine in
/// order, a second one does without the guest's help.
pub async fn attend<I: Future<Output = ()>>(
    store: &Store,
    name: &MachineName,
    files: &MachineFiles,
    mut observe: impl FnMut(&Stamped),
    interrupt: impl Fn() -> I,
) -> Result<(), AttendError> {
    let broken = |source| AttendError::Client {
        name: name.clone(),
        source,
    };
    let connection = client::connect(&files.control_socket()).await;
    let Some(mut connection) = connection.map_err(broken)? else {
        return gone(name, files).await;
    };
    connection.follow().await.map_err(broken)?;
    // The supervisor tells the events of its start again, up to the last one. Times say nothing of the order: the clock may
    // have been put back.
    let mut again = true;
    let mut left = SUCCESSORS;
    let mut wish = std::pin::pin!(interrupt());
    loop {
        let reply = tokio::select! {
            reply = connection.next() => reply.map_err(broken)?,
            () = &mut wish => {
                let in_order = stop::stop(store, name, files, false);
                return tokio::select! {
                    stopped = in_order => Ok(stopped?),
                    () = interrupt() => Ok(stop::stop(store, name, files, true).await?),
                };
            }
        };
        let Some(reply) = reply else {
            let next = match left {
                0 => None,
                _ => next(store, name, files).await,
            };
            let Some(next) = next else {
                return gone(name, files).await;
            };
            left -= 1;
            connection = next;
            // What this one tells nobody has told.
            again = false;
            connection.follow().await.map_err(broken)?;
            continue;
        };
        let Reply::Event(stamped) = reply else {
            continue;
        };
        if again {
            again = !stamped.event.ends_start();
        } else {
            observe(&stamped);
        }
        match stamped.event {
            Event::Stopped => return Ok(()),
            Event::Failed(failure) => return Err(AttendError::Failed { failure }),
            _ => {}
        }
    }
}

/// The supervisor of a machine whose VM goes on: the one that another command brings, or else one of ours.
async fn next(store: &Store, name: &MachineName, files: &MachineFiles) -> Option<Connection> {
    if client::status(files).await.is_stopped() {
        return None;
    }
    if let Some(connection) = successor::wait(files).await {
        return Some(connection);
    }
    adopt::status(store, name, files).await;
    client::connect(&files.control_socket())
        .await
        .ok()
        .flatten()
}

/// The supervisor is gone without a last word. What of the machine?
async fn gone(name: &MachineName, files: &MachineFiles) -> Result<(), AttendError> {
    match client::status(files).await {
        Status::Stopped => Ok(()),
        _ => Err(AttendError::Orphaned { name: name.clone() }),
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use machine_host::local_socket;
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

    use super::*;
    use crate::store::testing::{Bench, name};
    use crate::supervisor::control::{Greeting, NEWEST, Request, WireStatus, line};

    /// A supervisor that tells these events to who follows, obeys a stop, and ends.
    fn supervisor(
        files: &MachineFiles,
        events: Vec<Event>,
    ) -> tokio::task::JoinHandle<Vec<Request>> {
        let path = files.control_socket();
        let mut listener = local_socket::bind(&path).unwrap();
        tokio::spawn(async move {
            let mut asked = Vec::new();
            let mut events = Some(events);
            let mut followers = Vec::new();
            loop {
                let mut stream = BufReader::new(listener.accept().await.unwrap());
                let greeting = Greeting {
                    newest: NEWEST,
                    oldest: NEWEST,
                    build: "test".to_owned(),
                    pid: 1,
                    vm_pid: None,
                    status: WireStatus::Running,
                };
                stream.get_mut().write_all(&line(&greeting)).await.unwrap();
                let mut text = String::new();
                stream.read_line(&mut text).await.unwrap();
                let request = serde_json::from_str(&text).unwrap();
                let stop = matches!(request, Request::Stop { .. });
                asked.push(request);
                if stop {
                    stream
                        .get_mut()
                        .write_all(&line(&Reply::Stopped))
                        .await
                        .unwrap();
                }
                let told = events.take().unwrap_or_default();
                let ends = told.is_empty() || !matches!(told.last(), Some(Event::Ready));
                // The clock goes back.
                for (at, event) in (0_i64..).zip(told) {
                    let time = jiff::Timestamp::from_second(-at).unwrap();
                    let reply = Reply::Event(Stamped { time, event });
                    stream.get_mut().write_all(&line(&reply)).await.unwrap();
                }
                followers.push(stream);
                if ends || stop {
                    drop(listener);
                    // A pipe of Windows has no file, and goes with its listener.
                    let _ = fs_err::remove_file(&path);
                    return asked;
                }
            }
        })
    }

    async fn attended(
        events: Vec<Event>,
        wish: bool,
    ) -> (Result<(), AttendError>, Vec<Event>, Vec<Request>) {
        let bench = Bench::new();
        let machine = bench.make("dev");
        let supervisor = supervisor(&machine.files, events);
        let mut seen = Vec::new();
        // There is one wish at most.
        let given = std::cell::Cell::new(!wish);
        let result = attend(
            &bench.store,
            &name("dev"),
            &machine.files,
            |stamped| seen.push(stamped.event.clone()),
            || {
                let first = !given.replace(true);
                async move {
                    if !first {
                        pending::<()>().await;
                    }
                }
            },
        )
        .await;
        (result, seen, supervisor.await.unwrap())
    }

    #[tokio::test]
    async fn it_ends_with_the_machine_and_tells_what_is_new() {
        let degraded = Event::Degraded {
            reason: "x".to_owned(),
        };
        let events = vec![
            Event::Ready,
            degraded.clone(),
            Event::Stopping,
            Event::Stopped,
        ];
        let (result, seen, _) = attended(events, false).await;
        result.unwrap();
        assert_eq!(seen, [degraded, Event::Stopping, Event::Stopped]);
    }

    #[tokio::test]
    async fn a_machine_that_dies_is_an_error() {
        let failure = Failure::new("the virtual machine died").hint("look");
        let (result, ..) = attended(vec![Event::Ready, Event::Failed(failure)], false).await;
        let error = result.unwrap_err();
        assert_eq!(error.to_string(), "the virtual machine died");
        assert_eq!(error.hints(), ["look"]);
    }

    #[tokio::test]
    async fn a_supervisor_that_leaves_nothing_behind_has_stopped() {
        assert!(
            attended(vec![Event::Ready, Event::Stopping], false)
                .await
                .0
                .is_ok()
        );
        let bench = Bench::new();
        let machine = bench.make("dev");
        let name = name("dev");
        let never = std::future::pending::<()>;
        let nobody = attend(&bench.store, &name, &machine.files, |_| (), never);
        assert!(nobody.await.is_ok());
    }

    #[tokio::test]
    async fn the_users_wish_stops_the_machine_in_order() {
        let (result, _, asked) = attended(vec![Event::Ready], true).await;
        result.unwrap();
        let stop = Request::Stop {
            protocol: NEWEST,
            force: false,
        };
        assert_eq!(asked.last(), Some(&stop));
    }
}
