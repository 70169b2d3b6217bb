//! From the hidden command to a running owner task: limits, lock, sockets, and who reports to whom.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use machine_host::lock::FileLock;
use machine_host::termination::Termination;
use machine_host::{atomic, limits};
use machine_protocol::secret::Secret;
use tokio::sync::watch;
use tokio::time::Instant;

use super::audience::{Audience, Starter};
use super::boot::Boot;
use super::client;
use super::control::{BUILD, Greeting, NEWEST, OLDEST, WireStatus};
use super::enclosure;
use super::events::{Event, Phase, Stamped};
use super::neighbours::OtherMachines;
use super::owner::{Inboxes, Owner, OwnerPlan};
use super::server::Server;
use crate::connection::ConnectionsFile;
use crate::machine::deadlines;
use crate::network::publish::{PublishConfig, Scope};
use crate::network::sockets;
use crate::provider::Provider;
use crate::store::{MachineFiles, Store, StoreError, StoredMachine};

/// Why a supervisor could not begin. Later failures are events.
#[derive(Debug, thiserror::Error)]
pub enum SuperviseError {
    /// The lock cannot be used.
    #[error("The machine's run lock cannot be taken")]
    Lock(#[source] machine_host::lock::LockError),
    /// The machine cannot be read any more.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The machine's secret is missing or damaged.
    #[error("The machine's secret cannot be read")]
    Secret(#[source] std::io::Error),
    /// The system's wish to end cannot be heard.
    #[error("Signals cannot be listened for")]
    Signals(#[source] std::io::Error),
    /// The control socket cannot be opened.
    #[error("The control socket cannot be opened")]
    Control(#[source] std::io::Error),
}

/// What a supervisor works with.
#[derive(Debug)]
pub struct SuperviseRequest {
    /// The machine.
    pub machine: StoredMachine,
    /// Where it is stored.
    pub store: Store,
    /// Where its connections are.
    pub connections: ConnectionsFile,
    /// Where probe verdicts are kept.
    pub accelerator_cache: PathBuf,
    /// Replaces the limits of the start.
    pub timeout: Option<Duration>,
    /// Keep a guest running whose engine does not come up.
    pub rescue: bool,
    /// Where its ports may listen.
    pub ports: Scope,
    /// What names the socket of the SSH agent of whoever starts it.
    pub ssh_agent: Option<OsString>,
    /// What the user should know from the beginning.
    pub warning: Option<String>,
    /// Who waits for the start to end.
    pub starter: Starter,
    /// The service of the system that this process is, where it is one.
    pub service: Option<String>,
}

/// Runs one machine until it has stopped. Events go to the log, to clients and, until the start has ended, to
/// standard output.
pub async fn supervise(
    mut request: SuperviseRequest,
    provider: Arc<dyn Provider>,
) -> Result<(), SuperviseError> {
    let StoredMachine { config, files } = request.machine;
    for limited in [limits::raise_open_files(), limits::no_core_files()] {
        if let Err(error) = limited {
            tracing::warn!(%error, "A resource limit cannot be set");
        }
    }
    let Some(lock) = take_run_lock(&files).await? else {
        request.starter.tell(&Stamped {
            time: jiff::Timestamp::now(),
            event: Event::Occupied,
        });
        return Ok(());
    };
    if matches!(request.starter, Starter::Nobody) && client::survivor(&files).is_none() {
        // Both have died: the machine is stopped, and nobody wants it started.
        client::sweep(&files);
        enclosure::end(request.service.as_deref()).await;
        return Ok(());
    }
    // It may have been changed while its lock was waited for, and then it has another disk.
    let StoredMachine { config, files } = request.store.load(&config.name)?;
    let secret = fs_err::read_to_string(files.secret()).and_then(|text| {
        Secret::from_hex(text.trim()).map_err(|error| {
            std::io::Error::new(std::io::ErrorKind::InvalidData, error.to_string())
        })
    });
    let secret = secret.map_err(SuperviseError::Secret)?;

    atomic::create_private_dir_all(files.sockets()).map_err(SuperviseError::Control)?;
    let terminated = Termination::listen().map_err(SuperviseError::Signals)?;
    let mut inboxes = Inboxes::default();
    let (greeting, greeted) = watch::channel(Greeting {
        newest: NEWEST,
        oldest: OLDEST,
        build: BUILD.to_owned(),
        pid: std::process::id(),
        vm_pid: None,
        status: WireStatus::Starting {
            phase: Phase::Resolve,
        },
    });
    let server = Server::open(&files.control_socket(), greeted, inboxes.requests.0.clone())
        .map_err(SuperviseError::Control)?;
    let cut = Arc::default();
    let boot = Boot {
        config: config.clone(),
        files: files.clone(),
        accelerator_cache: request.accelerator_cache,
        secret: secret.clone(),
        build: BUILD.to_owned(),
        store: request.store.clone(),
        connections: request.connections,
        cut: Arc::clone(&cut),
    };
    tokio::spawn(boot.run(provider, inboxes.vm.0.clone(), inboxes.boot.0.clone()));

    let mut audience = Audience::new(&files.events(), greeting, request.starter);
    if let Some(message) = request.warning {
        audience.announce(Event::Warning { message });
    }
    let ports = PublishConfig {
        scope: request.ports,
        neighbours: Arc::new(OtherMachines {
            store: request.store.clone(),
            own: config.name.clone(),
        }),
    };
    let plan = OwnerPlan {
        config,
        files,
        store: request.store,
        secret,
        start_by: Instant::now() + request.timeout.unwrap_or(deadlines::START_TOTAL.limit),
        rescue: request.rescue,
        ports,
        ssh_agent: sockets::ssh_agent(request.ssh_agent.as_deref()),
        service: request.service,
        cut,
    };
    let service = plan.service.clone();
    let mut owner = Owner::new(plan, audience, &inboxes);
    owner.serve(&mut inboxes, terminated).await;
    enclosure::end(service.as_deref()).await;
    owner.leave(server, lock).await;
    Ok(())
}

/// Takes the lock that one supervisor holds for life; `None` when another one has it and answers.
async fn take_run_lock(files: &MachineFiles) -> Result<Option<FileLock>, SuperviseError> {
    let path = files.run_lock();
    if let Some(lock) = FileLock::try_acquire(&path).map_err(SuperviseError::Lock)? {
        return Ok(Some(lock));
    }
    if matches!(client::connect(&files.control_socket()).await, Ok(Some(_))) {
        return Ok(None);
    }
    // Its holder is on the way in or out.
    let taken =
        tokio::task::spawn_blocking(move || FileLock::acquire(&path, deadlines::RUN_LOCK.limit))
            .await;
    Ok(taken.ok().and_then(Result::ok))
}
