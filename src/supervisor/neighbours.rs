//! Who else has a port: another machine of this user's, or any process.
//!
//! Machines are asked over their control sockets, so an answer is never older than the question, and one that does not
//! answer has no part in it.

use async_trait::async_trait;
use machine_host::ports::{self, Transport};
use machine_protocol::publish::{Port, Protocol};
use tokio::task::JoinSet;

use super::client;
use crate::machine::MachineName;
use crate::network::publish::Neighbours;
use crate::store::{Store, StoredMachine};

/// The machines beside one.
#[derive(Debug)]
pub(super) struct OtherMachines {
    pub(super) store: Store,
    pub(super) own: MachineName,
}

#[async_trait]
impl Neighbours for OtherMachines {
    async fn holder(&self, port: &Port) -> Option<String> {
        let port = *port;
        let transport = match port.protocol {
            Protocol::Tcp => Transport::Tcp,
            Protocol::Udp => Transport::Udp,
        };
        let process = tokio::task::spawn_blocking(move || {
            ports::holder(transport, port.address, port.port).map(|holder| holder.to_string())
        });
        match self.machine_with(port).await {
            Some(words) => Some(words),
            None => process.await.ok().flatten(),
        }
    }
}

impl OtherMachines {
    async fn machine_with(&self, port: Port) -> Option<String> {
        let store = self.store.clone();
        let listed = tokio::task::spawn_blocking(move || store.list());
        let listed = listed.await.ok()?.ok()?;
        let mut asking = JoinSet::new();
        for (name, machine) in listed {
            if let Ok(machine) = machine
                && name != self.own
            {
                asking.spawn(what_it_has(machine, port));
            }
        }
        while let Some(answer) = asking.join_next().await {
            if let Ok(Some(words)) = answer {
                return Some(words);
            }
        }
        None
    }
}

async fn what_it_has(machine: StoredMachine, port: Port) -> Option<String> {
    let name = machine.config.name;
    let mut connection = client::connect(&machine.files.control_socket())
        .await
        .ok()??;
    if port.protocol == Protocol::Tcp && machine.config.ssh_port == port.port {
        return Some(format!("the SSH port of machine `{name}`"));
    }
    let open = connection.ports().await.ok()?;
    let same = |open: &Port| (open.protocol, open.port) == (port.protocol, port.port);
    open.iter()
        .any(|open| same(&open.port))
        .then(|| format!("machine `{name}`"))
}
