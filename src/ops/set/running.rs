//! A machine that runs: it takes the change, or its file has the old settings again.

use machine_protocol::sockets::MissingSocket;

use super::{LeftBehind, SetError, SetOutcome, SetRequest, edit, write};
use crate::connection::ConnectionsFile;
use crate::engine::{self, EngineError};
use crate::machine::MachineConfig;
use crate::ops::host::Host;
use crate::store::{MachineFiles, Store, StoredMachine};
use crate::supervisor::client::{self, ClientError};

/// Changes the mode and the sockets of a machine that runs, whether servers of its guest are forwarded, and the folders of
/// its next start.
pub(super) async fn switch(
    store: &Store,
    connections: &ConnectionsFile,
    machine: &StoredMachine,
    request: &SetRequest,
    host: &Host,
) -> Result<SetOutcome, SetError> {
    let (name, files) = (&machine.config.name, &machine.files);
    let (old, config) = {
        let guard = edit(store, name).await?;
        let old = store.load(name)?.config;
        let new = request.apply(&old, host)?;
        let config = write(&guard, connections, &old, new).await?;
        (old, config)
    };
    let mode_changes = config.rootful != old.rootful;
    let mut missing_sockets = Vec::new();
    let at_once = mode_changes
        || config.forward_sockets != old.forward_sockets
        || config.forward_listeners != old.forward_listeners;
    if at_once {
        match reload(files).await {
            Ok(missing) => missing_sockets = missing,
            Err(source) => {
                take_back(store, connections, &old, &config).await;
                let name = name.clone();
                return Err(SetError::Reload { name, source });
            }
        }
    }
    let left = if mode_changes {
        left_behind(files, old.rootful).await
    } else {
        None
    };
    Ok(SetOutcome {
        shortage: None,
        missing_sockets,
        left,
        volumes_wait: config.volumes != old.volumes,
        config,
    })
}

/// Lets the supervisor read the file again; the sockets that the guest could not make. One that has gone meanwhile will
/// read it when it comes back.
async fn reload(files: &MachineFiles) -> Result<Vec<MissingSocket>, ClientError> {
    match client::connect(&files.control_socket()).await? {
        Some(mut connection) => Ok(connection.reload().await?.sockets),
        None => Ok(Vec::new()),
    }
}

/// Gives a machine that did not take a change from `old` to `new` its old settings back, save those that somebody else has
/// changed meanwhile.
async fn take_back(
    store: &Store,
    connections: &ConnectionsFile,
    old: &MachineConfig,
    new: &MachineConfig,
) {
    let taken_back = async {
        let guard = edit(store, &old.name).await?;
        let now = store.load(&old.name)?.config;
        let mut then = now.clone();
        if now.rootful == new.rootful {
            then.rootful = old.rootful;
        }
        if now.forward_listeners == new.forward_listeners {
            then.forward_listeners = old.forward_listeners;
        }
        if now.volumes == new.volumes {
            then.volumes.clone_from(&old.volumes);
        }
        if now.forward_sockets == new.forward_sockets {
            then.forward_sockets.clone_from(&old.forward_sockets);
        }
        write(&guard, connections, &now, then).await
    };
    if let Err(error) = taken_back.await {
        tracing::warn!(%error, "The machine's file keeps the change");
    }
}

/// What the engine of the mode that was left holds. An engine that does not say is no reason to fail.
async fn left_behind(files: &MachineFiles, rootful: bool) -> Option<LeftBehind> {
    let socket = if rootful {
        files.rootful_socket()
    } else {
        files.rootless_socket()
    };
    let counted: Result<usize, EngineError> = engine::count_containers(&socket).await;
    match counted {
        Ok(0) => None,
        Ok(containers) => Some(LeftBehind {
            containers,
            rootful,
        }),
        Err(error) => {
            tracing::info!(%error, "The engine of the mode that was left cannot be asked");
            None
        }
    }
}
