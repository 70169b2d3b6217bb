//! Start a machine: find out what it does, start its supervisor if nobody runs it, and follow it until it is up.

use std::future::Future;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use machine_host::process;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::ChildStdout;

use crate::machine::deadlines;
use crate::machine::name::MachineName;
use crate::store::{Store, StoreError};
use crate::supervisor::client::{self, ClientError, Connection};
use crate::supervisor::control::{Reply, WireStatus};
use crate::supervisor::events::{Event, Failure, Stamped};

/// How often a start looks again when a supervisor came or went under its eyes.
const ATTEMPTS: usize = 4;
/// How many of the supervisor's last log lines explain its death.
const LOG_LINES: usize = 8;

/// Why a machine was not started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The machine cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It runs already.
    #[error("unable to start \"{name}\": already running")]
    AlreadyRunning {
        /// The machine.
        name: MachineName,
    },
    /// Another process holds it and does not say what it does.
    #[error("unable to start \"{name}\": another process is busy with it")]
    Busy {
        /// The machine.
        name: MachineName,
    },
    /// The start failed in the machine.
    #[error("{}", failure.message)]
    Failed {
        /// The machine.
        name: MachineName,
        /// What failed, why, and what to do.
        failure: Failure,
    },
    /// It was stopped before it was up.
    #[error("unable to start \"{name}\": it was stopped before it was ready")]
    Stopped {
        /// The machine.
        name: MachineName,
    },
    /// The user interrupted the command; the machine has been stopped again.
    #[error("The start of \"{name}\" was interrupted; the machine is stopped")]
    Interrupted {
        /// The machine.
        name: MachineName,
    },
    /// The supervisor could not be started.
    #[error("The supervisor of \"{name}\" cannot be started")]
    Spawn {
        /// The machine.
        name: MachineName,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The supervisor ended without a word.
    #[error("The supervisor of \"{name}\" ended before the machine was up")]
    SupervisorDied {
        /// The machine.
        name: MachineName,
        /// Its last log lines.
        lines: Vec<String>,
        /// The whole log.
        log: PathBuf,
    },
    /// The supervisor cannot be talked to.
    #[error("unable to start \"{name}\"")]
    Client {
        /// The machine.
        name: MachineName,
        /// Why.
        #[source]
        source: ClientError,
    },
}

impl StartError {
    /// Lines that explain the error beyond its causes.
    pub fn detail(&self) -> Vec<String> {
        match self {
            Self::Failed { failure, .. } => failure.detail.clone(),
            Self::SupervisorDied { lines, .. } => lines.clone(),
            _ => Vec::new(),
        }
    }

    /// What to do next.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Store(error) => error.hints(),
            Self::Failed { failure, .. } => failure.hints.clone(),
            Self::Busy { name } => vec![format!(
                "Try again in a moment, or see what it does with `machine inspect {name}`"
            )],
            Self::SupervisorDied { log, .. } => {
                vec![format!("The supervisor's log is `{}`", log.display())]
            }
            _ => Vec::new(),
        }
    }
}

/// A machine that is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// Its API socket.
    pub api_socket: PathBuf,
    /// True when the API socket is the rootful engine's.
    pub rootful: bool,
}

/// Starts a machine and waits until it is up. Each event of the start goes to `observe`. When `interrupt` resolves
/// first, the machine is stopped again and nothing half-started stays. `timeout` replaces the limits of a start.
pub async fn start(
    store: &Store,
    name: &MachineName,
    timeout: Option<Duration>,
    mut observe: impl FnMut(&Stamped),
    interrupt: impl Future<Output = ()>,
) -> Result<Started, StartError> {
    let machine = store.load(name)?;
    let started = Started {
        api_socket: machine.files.api_socket(),
        rootful: machine.config.rootful,
    };
    let socket = machine.files.control_socket();
    let client_error = |source| StartError::Client {
        name: name.clone(),
        source,
    };
    tokio::pin!(interrupt);
    for _ in 0..ATTEMPTS {
        let found = client::connect(&socket)
            .await
            .map_err(|error| match error {
                ClientError::Silent { .. } => StartError::Busy { name: name.clone() },
                other => client_error(other),
            })?;
        let ended = match found {
            Some(connection) => match connection.greeting.status {
                WireStatus::Running | WireStatus::Degraded { .. } => {
                    return Err(StartError::AlreadyRunning { name: name.clone() });
                }
                WireStatus::Starting { .. } => {
                    tokio::select! {
                        ended = follow(connection, &mut observe) => ended.map_err(client_error)?,
                        () = &mut interrupt => None,
                    }
                }
                WireStatus::Stopping => {
                    wait_until_gone(connection).await.map_err(client_error)?;
                    continue;
                }
            },
            None => {
                let mut supervisor =
                    Supervisor::spawn(name, timeout, &machine.files.supervisor_log()).map_err(
                        |source| StartError::Spawn {
                            name: name.clone(),
                            source,
                        },
                    )?;
                tokio::select! {
                    ended = supervisor.follow(&mut observe) => Some(ended.ok_or_else(|| supervisor.died(name))?),
                    () = &mut interrupt => {
                        supervisor.interrupt(&socket).await;
                        while let Some(event) = supervisor.next().await {
                            observe(&event);
                            if event.event.ends_start() { break; }
                        }
                        None
                    }
                }
            }
        };
        match ended {
            Some(Event::Ready) => return Ok(started),
            Some(Event::Failed(failure)) => {
                return Err(StartError::Failed {
                    name: name.clone(),
                    failure,
                });
            }
            Some(Event::Stopped) => return Err(StartError::Stopped { name: name.clone() }),
            None => return Err(StartError::Interrupted { name: name.clone() }),
            // Another supervisor was quicker: what does it do?
            Some(_) => {}
        }
    }
    Err(StartError::Busy { name: name.clone() })
}

/// Follows a start that another command began.
async fn follow(
    mut connection: Connection,
    observe: &mut impl FnMut(&Stamped),
) -> Result<Option<Event>, ClientError> {
    connection.follow().await?;
    while let Some(reply) = connection.next().await? {
        if let Reply::Event(stamped) = reply {
            observe(&stamped);
            if stamped.event.ends_start() {
                return Ok(Some(stamped.event));
            }
        }
    }
    // It left between two events: look again.
    Ok(Some(Event::Occupied))
}

async fn wait_until_gone(mut connection: Connection) -> Result<(), ClientError> {
    connection.stop(false).await?;
    let gone = async { while let Ok(Some(_)) = connection.next().await {} };
    // When it takes longer, the next attempt says what the machine does.
    let _ = tokio::time::timeout(deadlines::STOP_TOTAL.limit, gone).await;
    Ok(())
}

/// A supervisor that this command started, and its events on a pipe.
struct Supervisor {
    child: std::process::Child,
    events: tokio::io::Lines<BufReader<ChildStdout>>,
    log: PathBuf,
}

impl Supervisor {
    fn spawn(
        name: &MachineName,
        timeout: Option<Duration>,
        log: &std::path::Path,
    ) -> std::io::Result<Self> {
        let mut old = log.as_os_str().to_owned();
        old.push(".old");
        // The first start has no log yet, and an old one that stays only grows.
        let _ = fs_err::rename(log, PathBuf::from(old));
        let stderr = fs_err::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("supervise");
        if let Some(timeout) = timeout {
            command.arg(format!("--timeout={}s", timeout.as_secs()));
        }
        command
            .arg(name.as_str())
            .stdout(Stdio::piped())
            .stderr(stderr.into_file());
        let mut child = process::spawn_detached(&mut command)?;
        let stdout = child
            .stdout
            .take()
            .ok_or_else(|| std::io::Error::other("The supervisor has no standard output"))?;
        let events = BufReader::new(ChildStdout::from_std(stdout)?).lines();
        Ok(Self {
            child,
            events,
            log: log.to_owned(),
        })
    }

    async fn next(&mut self) -> Option<Stamped> {
        loop {
            let line = self.events.next_line().await.ok()??;
            // Anything else on the pipe would be a stray print of a library; it must not end a start.
            if let Ok(stamped) = serde_json::from_str(&line) {
                return Some(stamped);
            }
        }
    }

    async fn follow(&mut self, observe: &mut impl FnMut(&Stamped)) -> Option<Event> {
        while let Some(stamped) = self.next().await {
            observe(&stamped);
            if stamped.event.ends_start() {
                return Some(stamped.event);
            }
        }
        None
    }

    /// Asks the supervisor to stop; one that does not serve its socket yet gets the signal.
    async fn interrupt(&self, socket: &std::path::Path) {
        if let Ok(Some(mut connection)) = client::connect(socket).await
            && connection.stop(true).await.is_ok()
        {
            return;
        }
        if let Ok(Some(identity)) = process::ProcessIdentity::of(self.child.id())
            && let Err(error) = identity.terminate()
        {
            tracing::warn!(%error, "The supervisor could not be told to stop");
        }
    }

    fn died(&self, name: &MachineName) -> StartError {
        let text = fs_err::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let lines = lines[lines.len().saturating_sub(LOG_LINES)..].to_vec();
        StartError::SupervisorDied {
            name: name.clone(),
            lines,
            log: self.log.clone(),
        }
    }
}
