//! Where the commands reach a supervisor. Each function is one call into `ops` and the supervisor's client.

use std::path::PathBuf;

use crate::cli::error::CommandError;
use crate::cli::progress::Phases;
use crate::machine::{MachineName, ProviderKind, Status};
use crate::store::{MachineFiles, Store, StoreError};

/// What the last words of a start need to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Started {
    /// Socket or pipe of the API.
    pub(super) api: PathBuf,
    /// The API is that of root's engine.
    pub(super) rootful: bool,
}

/// Why a machine could not be reached.
#[derive(Debug, thiserror::Error)]
#[error("This version cannot start or stop machines")]
pub(super) struct NotBuilt;

impl NotBuilt {
    #[expect(clippy::unused_self, reason = "as every library error")]
    fn hints(&self) -> Vec<String> {
        Vec::new()
    }
}

impl From<NotBuilt> for CommandError {
    fn from(error: NotBuilt) -> Self {
        Self::from_error(&error).with_hints(error.hints())
    }
}

/// The provider of a machine that names none.
pub(super) fn default_provider() -> ProviderKind {
    ProviderKind::Qemu
}

/// What a machine is doing.
pub(super) fn probe(_files: &MachineFiles) -> Status {
    Status::Stopped
}

/// Brings a machine up and tells its phases.
#[expect(
    clippy::unused_async,
    reason = "there is no supervisor to wait for yet"
)]
pub(super) async fn start(
    store: &Store,
    name: &str,
    _phases: &mut Phases,
) -> Result<Started, CommandError> {
    let machine = store.find(name)?;
    tracing::debug!("would start {}", machine.config.name);
    Err(NotBuilt.into())
}

/// Stops a machine; one that is stopped already is a success.
#[expect(
    clippy::unused_async,
    reason = "there is no supervisor to wait for yet"
)]
pub(super) async fn stop(_files: &MachineFiles) -> Result<(), NotBuilt> {
    Err(NotBuilt)
}

/// Owns a running machine until it has stopped.
#[expect(
    clippy::unused_async,
    reason = "there is no supervisor to wait for yet"
)]
pub(super) async fn supervise(store: &Store, name: &MachineName) -> Result<(), CommandError> {
    store.load(name)?;
    Err(NotBuilt.into())
}

/// The machine that a user named.
pub(super) fn files(store: &Store, name: &str) -> Result<MachineFiles, StoreError> {
    Ok(store.find(name)?.files)
}
