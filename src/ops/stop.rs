//! Stop a machine: the supervisor does it; a VM without a supervisor first gets one.

use machine_host::process::ProcessIdentity;

use crate::machine::deadlines;
use crate::machine::name::MachineName;
use crate::ops::start::{StartError, StartOptions, start};
use crate::store::{MachineFiles, Store};
use crate::supervisor::client::{self, ClientError};
use crate::supervisor::control::Reply;

/// Why a machine was not stopped.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// The supervisor cannot be talked to.
    #[error("unable to stop \"{name}\"")]
    Client {
        /// The machine.
        name: MachineName,
        /// Why.
        #[source]
        source: ClientError,
    },
    /// A VM without a supervisor could not be taken over.
    #[error(
        "unable to stop \"{name}\": its virtual machine runs without a supervisor and cannot be taken over"
    )]
    TakeOver {
        /// The machine.
        name: MachineName,
        /// Why.
        #[source]
        source: Box<StartError>,
    },
    /// One supervisor after the other ended before the VM did.
    #[error("\"{name}\" runs: its supervisors ended before they had stopped it")]
    Abandoned {
        /// The machine.
        name: MachineName,
    },
    /// The whole ladder was climbed and the VM is still there.
    #[error("\"{name}\" did not stop in {seconds} s")]
    TooSlow {
        /// The machine.
        name: MachineName,
        /// How long was waited.
        seconds: u64,
        /// The VM process.
        vm_pid: Option<u32>,
    },
}

impl StopError {
    /// What to do next.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::TooSlow {
                vm_pid: Some(pid), ..
            } => vec![format!(
                "The VM is process {pid}; see why it cannot be killed"
            )],
            Self::TakeOver { source, .. } => source.hints(),
            Self::Abandoned { name } => vec![format!(
                "See what ended them in its `supervisor.log`, then stop it again: machine stop {name}"
            )],
            _ => Vec::new(),
        }
    }
}

/// So many supervisors may be killed under our eyes.
const ATTEMPTS: usize = 3;

/// Stops a machine and waits until it has stopped; one that is stopped already is fine. `force` skips the steps that
/// need the guest's help.
///
/// The files are enough, so that a machine with a damaged `machine.toml` can be stopped as well.
pub async fn stop(
    store: &Store,
    name: &MachineName,
    files: &MachineFiles,
    force: bool,
) -> Result<(), StopError> {
    for _ in 0..ATTEMPTS {
        Box::pin(ask(store, name, files, force)).await?;
        // A supervisor that is killed on the way leaves the VM to the next one.
        if client::survivor(files).is_none() {
            return Ok(());
        }
    }
    Err(StopError::Abandoned { name: name.clone() })
}

/// Has the supervisor stop the machine, and waits until it has ended.
async fn ask(
    store: &Store,
    name: &MachineName,
    files: &MachineFiles,
    force: bool,
) -> Result<(), StopError> {
    let client_error = |source| StopError::Client {
        name: name.clone(),
        source,
    };
    let mut connection = client::connect(&files.control_socket())
        .await
        .map_err(client_error)?;
    if connection.is_none() && client::survivor(files).is_some() {
        let options = StartOptions {
            keep_supervisor: true,
            ..StartOptions::default()
        };
        match start(store, name, options, |_| (), std::future::pending()).await {
            // A VM that is up, or that went down under our eyes.
            Ok(_) | Err(StartError::AlreadyRunning { .. } | StartError::Stopped { .. }) => {}
            Err(source) => {
                return Err(StopError::TakeOver {
                    name: name.clone(),
                    source: Box::new(source),
                });
            }
        }
        connection = client::connect(&files.control_socket())
            .await
            .map_err(client_error)?;
    }
    let Some(mut connection) = connection else {
        client::sweep(files);
        return Ok(());
    };
    // Asked for while it is certainly alive: later its number may be somebody else's.
    let supervisor = ProcessIdentity::of(connection.greeting.pid);
    connection.stop(force).await.map_err(client_error)?;
    let stopped = async {
        loop {
            match connection.next().await {
                // Closed without the last word: the supervisor is gone.
                Ok(Some(Reply::Stopped) | None) => return Ok(()),
                Ok(Some(_)) => {}
                Err(error) => return Err(error),
            }
        }
    };
    let limit = deadlines::STOP_TOTAL.limit;
    match tokio::time::timeout(limit, stopped).await {
        Ok(result) => result.map_err(client_error)?,
        Err(_) => {
            return Err(StopError::TooSlow {
                name: name.clone(),
                seconds: limit.as_secs(),
                vm_pid: connection.greeting.vm_pid,
            });
        }
    }
    // It waits until its clients have hung up, and they until it is gone: then nothing of the machine is left.
    drop(connection);
    if let Ok(Some(supervisor)) = supervisor {
        let limit = deadlines::SUPERVISOR_EXIT.limit;
        let _ = tokio::time::timeout(limit, supervisor.ended()).await;
    }
    Ok(())
}
