//! Start a machine: find out what it does, start its supervisor if nobody runs it, and follow it until it is up.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::{Command, Stdio};
use std::time::Duration;

use machine_host::process;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::ChildStdout;

use crate::machine::deadlines;
use crate::machine::name::MachineName;
use crate::store::{MachineFiles, Store, StoreError};
use crate::supervisor::client::{self, ClientError, Connection};
use crate::supervisor::control::{Reply, WireStatus};
use crate::supervisor::events::{Event, Failure, Stamped, set_aside_overgrown};

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
    /// True when the guest was given the certificate authorities of the host.
    pub certificates_imported: bool,
}

/// How a start is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StartOptions {
    /// Replaces the limits of a start.
    pub timeout: Option<Duration>,
    /// Keep a guest running whose agent answers and whose engine does not come up, so that it can be mended.
    pub rescue: bool,
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
    };
    tokio::pin!(interrupt);
    for _ in 0..ATTEMPTS {
        match attempt.run(interrupt.as_mut()).await? {
            Some(Event::Ready) => {
                return Ok(Started {
                    api_socket: machine.files.api_socket(),
                    rootful: machine.config.rootful,
                    certificates_imported,
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
            WireStatus::Running | WireStatus::Degraded { .. } => Err(StartError::AlreadyRunning {
                name: self.name.clone(),
            }),
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
        let spawned = Supervisor::spawn(name, self.options, &self.files.supervisor_log());
        let spawned = spawned.map_err(|source| StartError::Spawn {
            name: name.clone(),
            source,
        });
        let mut supervisor = spawned?;
        let ended = tokio::select! {
            ended = supervisor.follow(self.observe) => {
                ended.map(Some).ok_or_else(|| supervisor.died(name))
            }
            () = interrupt => {
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

/// A supervisor that this command started, and its events on a pipe.
struct Supervisor {
    child: std::process::Child,
    events: tokio::io::Lines<BufReader<ChildStdout>>,
    log: PathBuf,
}

impl Supervisor {
    fn spawn(
        name: &MachineName,
        options: StartOptions,
        log: &std::path::Path,
    ) -> std::io::Result<Self> {
        set_aside_overgrown(log);
        let stderr = fs_err::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("supervise");
        if let Some(timeout) = options.timeout {
            command.arg(format!("--timeout={}s", timeout.as_secs()));
        }
        if options.rescue {
            command.arg("--rescue");
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

    /// Waits until the process has ended, which closes its end of the pipe: only then may the machine be started again
    /// or removed.
    async fn gone(&mut self) {
        let ended = async { while self.next().await.is_some() {} };
        // One that lingers is found by the next command.
        let _ = tokio::time::timeout(deadlines::SUPERVISOR_EXIT.limit, ended).await;
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
