//! A supervisor that a command has started: its events, its end, and what its log says of it.
//!
//! Where the system has services for users it is one of those, and tells its events over a socket that is there for this
//! alone. Elsewhere, and where that fails, it is a process of its own with a pipe.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use machine_host::access;
use machine_host::directories::{Directories, MACHINE_HOME};
use machine_host::local_socket;
use machine_host::process;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::ChildStdout;

use super::{StartError, StartOptions};
use crate::hostconf::HostConf;
use crate::machine::deadlines;
use crate::machine::name::MachineName;
use crate::service::{self, Service, Services, Wanted};
use crate::store::MachineFiles;
use crate::supervisor::client;
use crate::supervisor::events::{Event, Stamped, set_aside_overgrown};

/// How many of the supervisor's last log lines explain its death.
const LOG_LINES: usize = 8;
/// The socket's name in its directory.
const SOCKET: &str = "s";
/// The exit code of a command that has said what is wrong.
const TOLD: u8 = 125;

/// Where its events come from.
type Incoming = Box<dyn AsyncRead + Send + Sync + Unpin>;

/// A supervisor that this command started, and its events.
pub(super) struct Supervisor {
    pid: Option<u32>,
    events: tokio::io::Lines<BufReader<Incoming>>,
    log: PathBuf,
    /// What the user should know of how it runs.
    pub(super) hint: Option<String>,
    /// Whether the system starts it again when it dies.
    pub(super) comes_back: bool,
}

impl Supervisor {
    /// Starts the supervisor of a machine.
    pub(super) async fn spawn(
        name: &MachineName,
        options: StartOptions,
        files: &MachineFiles,
    ) -> std::io::Result<Self> {
        set_aside_overgrown(&files.supervisor_log());
        if let Some(services) = service::of_this_host(wanted()) {
            match Self::as_service(&*services, name, options, files).await {
                Ok(supervisor) => return Ok(supervisor),
                // What is wrong with a service need not be wrong with the machine.
                Err(error) => {
                    let error: &dyn std::error::Error = &*error;
                    tracing::info!(error, "The supervisor is no service of the system");
                }
            }
        }
        Self::alone(name, options, files)
    }

    /// As a process of its own, which nobody starts again.
    fn alone(
        name: &MachineName,
        options: StartOptions,
        files: &MachineFiles,
    ) -> std::io::Result<Self> {
        let log = files.supervisor_log();
        let stderr = access::open_to_append(&log)?;
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(words(name, options, &[]))
            .stdout(Stdio::piped())
            .stderr(stderr);
        let mut child = process::spawn_detached(&mut command)?;
        let stdout = child
            .stdout
            .take()
            .ok_or_else(|| std::io::Error::other("The supervisor has no standard output"))?;
        let events: Incoming = Box::new(ChildStdout::from_std(stdout)?);
        Ok(Self {
            pid: Some(child.id()),
            events: BufReader::new(events).lines(),
            log,
            hint: None,
            comes_back: false,
        })
    }

    /// As a service of the system.
    async fn as_service(
        services: &dyn Services,
        name: &MachineName,
        options: StartOptions,
        files: &MachineFiles,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        // The system would follow a link in its place.
        drop(access::open_to_append(&files.supervisor_log())?);
        let folder = tempfile::Builder::new()
            .prefix("machine-start-")
            .tempdir_in(services.directory())?;
        let socket = folder.path().join(SOCKET);
        let mut listener = local_socket::bind(&socket)?;
        let place = std::env::var_os(MACHINE_HOME).filter(|home| !home.is_empty());
        let place = place.map(|_| number(files.directory()));
        let service_name = service::name(name.as_str(), place);
        let mut command = vec![std::env::current_exe()?.into_os_string()];
        let own = [
            option("--service", service_name.as_ref()),
            option("--starter", socket.as_os_str()),
        ];
        command.extend(words(name, options, &own));
        let service = Service {
            name: service_name,
            description: format!("Virtual machine \"{name}\""),
            command,
            directory: files.directory().to_owned(),
            log: files.supervisor_log(),
            stop: service::stop_limit(),
            told: TOLD,
        };
        let accepted = async {
            let limit = deadlines::SUPERVISOR_SPAWN.limit;
            let called = tokio::time::timeout(limit, listener.accept()).await;
            called.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
        };
        let started = async {
            services.start(&service).await?;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
        };
        let called = async { Ok(accepted.await?) };
        let ((), stream) = tokio::try_join!(started, called)?;
        let pid = local_socket::peer_process(&stream);
        let events: Incoming = Box::new(stream);
        Ok(Self {
            pid,
            events: BufReader::new(events).lines(),
            log: files.supervisor_log(),
            hint: services.hint(),
            comes_back: true,
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

    /// Tells its events until one ends the start; nothing when it ended before.
    pub(super) async fn follow(&mut self, observe: &mut impl FnMut(&Stamped)) -> Option<Event> {
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
    pub(super) async fn gone(&mut self) {
        let ended = async { while self.next().await.is_some() {} };
        // One that lingers is found by the next command.
        let _ = tokio::time::timeout(deadlines::SUPERVISOR_EXIT.limit, ended).await;
    }

    /// Asks the supervisor to stop; one that does not serve its socket yet gets the signal.
    pub(super) async fn interrupt(&self, socket: &Path) {
        if let Ok(Some(mut connection)) = client::connect(socket).await
            && connection.stop(true).await.is_ok()
        {
            return;
        }
        let identity = self.pid.map(process::ProcessIdentity::of);
        if let Some(Ok(Some(identity))) = identity
            && let Err(error) = identity.terminate()
        {
            tracing::warn!(%error, "The supervisor could not be told to stop");
        }
    }

    /// The error for one that ended without a word.
    pub(super) fn died(&self, name: &MachineName) -> StartError {
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

/// Whether a supervisor is to be a service. A wish that cannot be read may have been one for none.
fn wanted() -> Wanted {
    let environment = |name: &str| std::env::var_os(name);
    let Ok(directories) = Directories::from_environment() else {
        return Wanted::Off;
    };
    match HostConf::locate(&directories, &environment).own() {
        Ok(settings) => settings.supervisor.unwrap_or_default(),
        Err(error) => {
            tracing::warn!(%error, "The supervisor is no service of the system");
            Wanted::Off
        }
    }
}

/// The arguments of the program; `own` are those of a service.
fn words(name: &MachineName, options: StartOptions, own: &[OsString]) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec!["supervise".into()];
    if let Some(timeout) = options.timeout {
        words.push(format!("--timeout={}s", timeout.as_secs()).into());
    }
    if options.rescue {
        words.push("--rescue".into());
    }
    words.extend_from_slice(own);
    words.push(name.as_str().into());
    words
}

fn option(name: &str, value: &std::ffi::OsStr) -> OsString {
    let mut word = OsString::from(name);
    word.push("=");
    word.push(value);
    word
}

/// Tells machines of one name in several places apart.
fn number(directory: &Path) -> u32 {
    let digest = Sha256::digest(directory.as_os_str().as_encoded_bytes());
    let [a, b, c, d, ..] = digest.0;
    u32::from_be_bytes([a, b, c, d])
}
