//! The part of a provider that keeps machines outside of their directories: after the commit, and undone where it fails.

use super::{InitError, InitProgress, InitReporter};
use crate::connection::ConnectionsFile;
use crate::connection::machine as pair;
use crate::provider::{NewMachine, Provider};
use crate::store::{Store, StoreError, StoredMachine};

/// A machine that is there but for what its provider keeps.
pub(super) struct Making<'a> {
    pub(super) store: &'a Store,
    pub(super) connections: &'a ConnectionsFile,
    pub(super) provider: &'a dyn Provider,
    pub(super) machine: &'a StoredMachine,
}

impl Making<'_> {
    /// Has the provider make what it keeps, and nobody start the machine meanwhile. Where that fails, or is given up, the
    /// machine is removed again.
    pub(super) async fn keep(
        &self,
        new: &NewMachine,
        reporter: &dyn InitReporter,
    ) -> Result<(), InitError> {
        let config = &self.machine.config;
        let mut guard = self.store.edit(&config.name)?;
        match guard.stay_stopped() {
            // Somebody has started it already, which does the same.
            Err(StoreError::InUse { .. }) => return Ok(()),
            stopped => stopped?,
        }
        reporter.progress(InitProgress::Keeping);
        let os_disk = self.machine.files.os_disk(config.disk);
        let kept = tokio::select! {
            kept = self.provider.keep(new, &os_disk) => kept.map_err(Some),
            () = reporter.stopped() => Err(None),
        };
        let Err(why) = kept else { return Ok(()) };
        let taken_back = self.provider.discard(&new.own_directory).await;
        match (taken_back, why) {
            (Ok(()), why) => {
                let files = &self.machine.files;
                let gone = || self.store.absent(&config.name).is_some();
                guard.remove()?;
                pair::remove(self.connections, files, gone)?;
                Err(match why {
                    Some(error) => Box::new(error).into(),
                    None => InitError::Cancelled(config.name.clone()),
                })
            }
            (Err(undo), why) => Err(InitError::Half {
                name: config.name.clone(),
                reason: undo.to_string(),
                source: Box::new(why.unwrap_or(undo)),
            }),
        }
    }
}
