//! Start a machine: find out what it does, start its supervisor if nobody runs it, and follow it until it is up. One that
//! runs under another build of this program gets a supervisor of this one.

mod hand_over;
mod spawned;

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

pub use self::hand_over::HandOverError;
use self::spawned::Supervisor;
use crate::docker_socket::{self, Claim};
use crate::machine::deadlines;
use crate::machine::name::MachineName;
use crate::ops::successor;
use crate::store::{MachineFiles, Store, StoreError, not_writable};
use crate::supervisor::client::{self, ClientError, Connection};
use crate::supervisor::control::{BUILD, Reply, WireStatus, told_apart};
use crate::supervisor::events::{Event, Failure, Stamped};

/// How often a start looks again when a supervisor came or went under its eyes.
const ATTEMPTS: usize = 4;

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
    /// The user interrupted a command that only watched another one's start, which goes on.
    #[error("Interrupted; \"{name}\" goes on starting")]
    LeftStarting {
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
    /// It runs under another build, whose supervisor stays.
    #[error("unable to start \"{name}\": it runs under build {theirs}, which does not leave it")]
    HandOver {
        /// The machine.
        name: MachineName,
        /// The other build.
        theirs: String,
        /// Why.
        #[source]
        source: Box<HandOverError>,
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

    /// What happened, for programs; the words stay the same for ever.
    pub fn code(&self) -> String {
        let word = match self {
            Self::Store(StoreError::NotFound { .. }) => "not-found",
            Self::Store(_) => "unreadable",
            Self::AlreadyRunning { .. } => "already-running",
            Self::Busy { .. } => "busy",
            Self::Failed { failure, .. } => return failure.code.word(),
            Self::Stopped { .. } => "stopped",
            Self::Interrupted { .. } | Self::LeftStarting { .. } => "interrupted",
            Self::Spawn { .. } => "no-supervisor",
            Self::SupervisorDied { .. } => "supervisor-died",
            Self::HandOver { .. } => "not-replaced",
            Self::Client { .. } => "supervisor-unreachable",
        };
        word.to_owned()
    }

    /// What to do next.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Store(error) => error.hints(),
            Self::Failed { failure, .. } => failure.hints.clone(),
            Self::Busy { name } => vec![format!(
                "Try again in a moment, or see what it does with `machine inspect {name}`"
            )],
            Self::HandOver { name, .. } => vec![format!(
                "It runs on; start it anew under this build: machine restart {name}"
            )],
            Self::SupervisorDied { log, .. } => {
                vec![format!("The supervisor's log is `{}`", log.display())]
            }
            Self::Spawn { source, .. } => not_writable(source),
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
    /// True when the guest was given the certificate authorities of the host.
    pub certificates_imported: bool,
    /// The build that ran it until now, where it was up already and was only taken over.
    pub replaced: Option<String>,
    /// What the user should know of how it runs, as an instruction.
    pub hint: Option<String>,
    /// Whether Docker's clients find it by themselves.
    pub docker: Claim,
}

/// How a start is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StartOptions {
    /// Replaces the limits of a start.
    pub timeout: Option<Duration>,
    /// Keep a guest running whose agent answers and whose engine does not come up, so that it can be mended.
    pub rescue: bool,
    /// Leave a machine that is up to the supervisor it has, whatever build that is of.
    pub keep_supervisor: bool,
}

/// Starts a machine and waits until it is up. Each event of the start goes to `observe`. When `interrupt` resolves
/// first, the machine is stopped again and nothing half-started stays.
pub async fn start(
    store: &Store,
    name: &MachineName,
    options: StartOptions,
    mut observe: impl FnMut(&Stamped),
    interrupt: impl Future<Output = ()>,
) -> Result<Started, StartError> {
    let machine = store.load(name)?;
    let mut certificates_imported = false;
    let mut observe = |stamped: &Stamped| {
        certificates_imported |= stamped.event == Event::CertificatesImported;
        observe(stamped);
    };
    let mut attempt = Attempt {
        name,
        options,
        files: &machine.files,
        observe: &mut observe,
        replaced: None,
        hint: None,
    };
    tokio::pin!(interrupt);
    for _ in 0..ATTEMPTS {
        match attempt.run(interrupt.as_mut()).await? {
            Some(Event::Ready) => {
                let Attempt { replaced, hint, .. } = attempt;
                let api_socket = machine.files.api_socket();
                return Ok(Started {
                    docker: docker_socket::claim(&api_socket).await,
                    api_socket,
                    rootful: machine.config.rootful,
                    certificates_imported,
                    replaced,
                    hint,
                });
            }
            Some(Event::Failed(failure)) => {
                let name = name.clone();
                return Err(StartError::Failed { name, failure });
            }
            Some(Event::Stopped) => return Err(StartError::Stopped { name: name.clone() }),
            // A supervisor came or went meanwhile: what is there now?
            _ => {}
        }
    }
    Err(StartError::Busy { name: name.clone() })
}

/// One look at the machine and what follows from it.
struct Attempt<'a, O> {
    name: &'a MachineName,
    options: StartOptions,
    files: &'a MachineFiles,
    observe: &'a mut O,
    /// The build whose supervisor was made to leave.
    replaced: Option<String>,
    /// What the user should know of how its supervisor runs.
    hint: Option<String>,
}

impl<O: FnMut(&Stamped)> Attempt<'_, O> {
    /// The event that ended the start; `None` asks for another look.
    async fn run(
        &mut self,
        interrupt: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<Option<Event>, StartError> {
        let found = client::connect(&self.files.control_socket()).await;
        let found = found.map_err(|error| match error {
            ClientError::Silent { .. } => StartError::Busy {
                name: self.name.clone(),
            },
            other => self.client_error(other),
        });
        let Some(connection) = found? else {
            return self.begin(interrupt).await;
        };
        match connection.greeting.status {
            // Another command was quicker with a supervisor of this build.
            WireStatus::Running | WireStatus::Degraded { .. }
                if self.replaced.is_some() && connection.greeting.build == BUILD =>
            {
                Ok(Some(Event::Ready))
            }
            WireStatus::Running | WireStatus::Degraded { .. }
                if self.options.keep_supervisor || connection.greeting.build == BUILD =>
            {
                Err(StartError::AlreadyRunning {
                    name: self.name.clone(),
                })
            }
            WireStatus::Running | WireStatus::Degraded { .. } => {
                let theirs = told_apart(&connection.greeting.build, BUILD).to_owned();
                let parted = hand_over::part(connection).await;
                parted.map_err(|source| StartError::HandOver {
                    name: self.name.clone(),
                    theirs: theirs.clone(),
                    source: Box::new(source),
                })?;
                self.replaced = Some(theirs);
                // It was up: what does not come back is no reason to end it.
                self.options.rescue = true;
                self.begin(interrupt).await
            }
            WireStatus::Starting { .. } => tokio::select! {
                ended = follow(connection, self.observe) => ended.map_err(|error| self.client_error(error)),
                () = interrupt => Err(StartError::LeftStarting { name: self.name.clone() }),
            },
            WireStatus::Stopping => {
                let gone = wait_until_gone(connection).await;
                gone.map_err(|error| self.client_error(error))?;
                Ok(None)
            }
        }
    }

    /// Starts a supervisor and follows it.
    async fn begin(
        &mut self,
        interrupt: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<Option<Event>, StartError> {
        let name = self.name;
        let is_up = client::survivor(self.files).is_some();
        let spawned = Supervisor::spawn(name, self.options, self.files).await;
        let spawned = spawned.map_err(|source| StartError::Spawn {
            name: name.clone(),
            source,
        });
        let mut supervisor = spawned?;
        self.hint = supervisor.hint.take();
        let ended = tokio::select! {
            ended = supervisor.follow(self.observe) => match ended {
                // It left a VM, which another supervisor takes over: the one that the system starts again, or the next.
                None if !is_up && client::survivor(self.files).is_some() => {
                    if supervisor.comes_back {
                        successor::wait(self.files).await;
                    }
                    Ok(None)
                }
                None => Err(supervisor.died(name)),
                ended => Ok(ended),
            },
            () = interrupt => {
                if is_up {
                    // What was up before goes on without this command.
                    return Err(StartError::LeftStarting { name: name.clone() });
                }
                supervisor.interrupt(&self.files.control_socket()).await;
                supervisor.follow(self.observe).await;
                Err(StartError::Interrupted { name: name.clone() })
            }
        };
        if !matches!(ended, Ok(Some(Event::Ready))) {
            supervisor.gone().await;
        }
        ended
    }

    fn client_error(&self, source: ClientError) -> StartError {
        StartError::Client {
            name: self.name.clone(),
            source,
        }
    }
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
    // It left between two events.
    Ok(None)
}

async fn wait_until_gone(mut connection: Connection) -> Result<(), ClientError> {
    connection.stop(false).await?;
    let gone = async { while let Ok(Some(_)) = connection.next().await {} };
    // When it takes longer, the next attempt says what the machine does.
    let _ = tokio::time::timeout(deadlines::STOP_TOTAL.limit, gone).await;
    Ok(())
}
