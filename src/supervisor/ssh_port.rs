//! The port of the host's loopback that leads to the guest's SSH server.

use std::net::{Ipv4Addr, TcpListener};

use super::events::{Code, Failure};
use crate::connection::{self, ConnectionsFile};
use crate::machine::{MachineConfig, MachineName};
use crate::store::{Store, StoreError};

/// A port that is ours for the life of the listener.
#[derive(Debug)]
pub(super) struct SshPort {
    /// Listens already; clients wait until there is a guest.
    pub(super) listener: TcpListener,
    /// The number.
    pub(super) port: u16,
    /// The number that the machine had, where another program has taken it.
    pub(super) taken: Option<u16>,
}

/// Takes the machine's port, or another one where that is taken; then the machine's file and its connections are
/// brought up to date.
pub(super) fn claim(
    store: &Store,
    connections: &ConnectionsFile,
    config: &MachineConfig,
) -> Result<SshPort, Failure> {
    let old = config.ssh_port;
    if old != 0
        && let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, old))
    {
        return Ok(SshPort {
            listener,
            port: old,
            taken: None,
        });
    }
    let failed = |error: &dyn std::error::Error| {
        Failure::new("No port for SSH could be had")
            .coded(Code::HostFiles)
            .because(error.to_string())
    };
    let (listener, port) = store.free_ssh_port().map_err(|error| failed(&error))?;
    remember(store, connections, &config.name, port).map_err(|error| failed(&*error))?;
    Ok(SshPort {
        listener,
        port,
        taken: (old != 0).then_some(old),
    })
}

fn remember(
    store: &Store,
    connections: &ConnectionsFile,
    name: &MachineName,
    port: u16,
) -> Result<(), Box<dyn std::error::Error>> {
    let guard = store.edit(name)?;
    let config = guard.update::<StoreError>(|config| {
        config.ssh_port = port;
        Ok(())
    })?;
    connection::machine::set_port(connections, &config, guard.files())?;
    Ok(())
}
