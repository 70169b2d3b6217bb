//! `port`: the ports of the host that lead to a machine.
//!
//! What is configured is in `machine.toml`; a running machine is told of a change and either takes it or keeps what it
//! had. Ports of containers are the engines': they are listed, and go with their containers.

use thiserror::Error;

use crate::machine::MachineName;
use crate::machine::ports::{self, Forward, ForwardsError, PortOwner};
use crate::store::{Store, StoreError, StoredMachine};
use crate::supervisor::client::{self, ClientError};

/// A port as `list` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedPort {
    /// Which, and where it leads.
    pub port: Forward,
    /// Who wants it.
    pub owner: PortOwner,
    /// Whether the host listens.
    pub open: bool,
}

/// Why the ports of a machine cannot be told or changed. Nothing is changed then.
#[derive(Debug, Error)]
pub enum PortError {
    /// There is no such machine, or its file cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The ports would not go together.
    #[error(transparent)]
    Forwards(#[from] ForwardsError),
    /// It is not configured.
    #[error("Machine `{name}` has no configured port {port}")]
    Unknown {
        /// The machine.
        name: MachineName,
        /// The port.
        port: Forward,
    },
    /// The host does not give it.
    #[error("The port {port} cannot be opened: {reason}")]
    Unavailable {
        /// The port.
        port: Forward,
        /// Why, in one line.
        reason: String,
    },
    /// The running machine could not be asked.
    #[error("Machine `{name}` does not say which ports it has")]
    Ask {
        /// The machine.
        name: MachineName,
        /// Why.
        #[source]
        source: ClientError,
    },
}

impl PortError {
    /// What to do next.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Store(error) => error.hints(),
            Self::Unknown { name, .. } => {
                vec![format!("see which it has: machine port list {name}")]
            }
            Self::Unavailable { .. } => {
                vec!["take another port of the host: machine port add OTHER:GUEST-PORT".to_owned()]
            }
            Self::Forwards(_) | Self::Ask { .. } => Vec::new(),
        }
    }
}

/// All ports of a machine, those that are open first; by number.
pub async fn list(machine: &StoredMachine) -> Result<Vec<ListedPort>, PortError> {
    let name = &machine.config.name;
    let ask = |source| PortError::Ask {
        name: name.clone(),
        source,
    };
    let connection = client::connect(&machine.files.control_socket()).await;
    let open = match connection.map_err(ask)? {
        Some(mut connection) => connection.ports().await.map_err(ask)?,
        None => Vec::new(),
    };
    let mut listed: Vec<ListedPort> = open
        .iter()
        .map(|open| ListedPort {
            port: Forward::from(open.port),
            owner: open.owner,
            open: true,
        })
        .collect();
    for port in &machine.config.ports {
        let there =
            |listed: &ListedPort| listed.owner == PortOwner::Configured && listed.port == *port;
        if !listed.iter().any(there) {
            listed.push(ListedPort {
                port: *port,
                owner: PortOwner::Configured,
                open: false,
            });
        }
    }
    listed.sort_by_key(|listed| {
        let port = listed.port.port();
        (port.port, port.protocol, port.address, !listed.open)
    });
    Ok(listed)
}

/// Adds a port; a running machine has it when this returns.
pub async fn add(store: &Store, name: &MachineName, port: Forward) -> Result<(), PortError> {
    let machine = change(store, name, |ports| {
        ports.push(port);
        ports::check(ports).map_err(PortError::from)
    })?;
    let missing = match client::connect(&machine.files.control_socket()).await {
        Ok(Some(mut connection)) => connection.reload().await,
        Ok(None) => return Ok(()),
        Err(error) => Err(error),
    };
    let failed = match missing {
        Ok(missing) => {
            let ours = missing
                .ports
                .into_iter()
                .find(|missing| missing.port == port.port());
            let Some(ours) = ours else {
                return Ok(());
            };
            PortError::Unavailable {
                port,
                reason: ours.reason,
            }
        }
        Err(source) => PortError::Ask {
            name: name.clone(),
            source,
        },
    };
    take_back(store, name, port).await;
    Err(failed)
}

/// Removes a configured port; a running machine closes it. Where it leads does not count.
pub async fn remove(store: &Store, name: &MachineName, port: Forward) -> Result<(), PortError> {
    let machine = change(store, name, |ports| {
        let before = ports.len();
        ports.retain(|there| !there.is_at(&port));
        if ports.len() == before {
            return Err(PortError::Unknown {
                name: name.clone(),
                port,
            });
        }
        Ok(())
    })?;
    let told = match client::connect(&machine.files.control_socket()).await {
        Ok(Some(mut connection)) => connection.reload().await.map(drop),
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    told.map_err(|source| PortError::Ask {
        name: name.clone(),
        source,
    })
}

/// Changes the list in `machine.toml`; the machine of now.
fn change(
    store: &Store,
    name: &MachineName,
    change: impl FnOnce(&mut Vec<Forward>) -> Result<(), PortError>,
) -> Result<StoredMachine, PortError> {
    let guard = store.edit(name)?;
    let config = guard.update::<PortError>(|config| change(&mut config.ports))?;
    let files = guard.files().clone();
    Ok(StoredMachine { config, files })
}

/// A running machine that did not take a port has it no more, in its file and in force. What others have added meanwhile
/// stays.
async fn take_back(store: &Store, name: &MachineName, port: Forward) {
    let changed = change(store, name, |ports| {
        ports.retain(|there| !there.is_at(&port));
        Ok(())
    });
    match changed {
        Ok(machine) => {
            let connection = client::connect(&machine.files.control_socket()).await;
            if let Ok(Some(mut connection)) = connection
                && let Err(error) = connection.reload().await
            {
                tracing::warn!(%error, "The machine does not know of its ports yet");
            }
        }
        Err(error) => tracing::warn!(%error, "The port stays in the machine's file"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::Bench;

    fn port(text: &str) -> Forward {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn a_port_that_is_taken_back_takes_no_other_with_it() {
        let bench = Bench::new();
        let name = bench.make("vm").config.name;
        for text in ["8080:80", "9090:90"] {
            add(&bench.store, &name, port(text)).await.unwrap();
        }
        take_back(&bench.store, &name, port("8080:80")).await;
        let ports = bench.store.load(&name).unwrap().config.ports;
        assert_eq!(ports, [port("9090:90")]);
    }

    #[tokio::test]
    async fn a_stopped_machine_has_what_is_configured() {
        let bench = Bench::new();
        let machine = bench.make("vm");
        let name = &machine.config.name;
        for text in ["8080:80", "127.0.0.1:53/udp"] {
            add(&bench.store, name, port(text)).await.unwrap();
        }
        let twice = add(&bench.store, name, port("8080:81")).await.unwrap_err();
        assert_eq!(twice.to_string(), "The port 8080:81/tcp is there twice");
        let machine = bench.store.load(name).unwrap();
        let listed = list(&machine).await.unwrap();
        let texts: Vec<_> = listed
            .iter()
            .map(|listed| (listed.port.to_string(), listed.open, listed.owner))
            .collect();
        assert_eq!(
            texts,
            [
                (
                    "127.0.0.1:53:53/udp".to_owned(),
                    false,
                    PortOwner::Configured
                ),
                ("8080:80/tcp".to_owned(), false, PortOwner::Configured)
            ]
        );
        let unknown = remove(&bench.store, name, port("8080/udp"))
            .await
            .unwrap_err();
        assert_eq!(
            unknown.to_string(),
            "Machine `vm` has no configured port 8080:8080/udp"
        );
        // Where it leads need not be said again.
        remove(&bench.store, name, port("8080")).await.unwrap();
        let text = fs_err::read_to_string(machine.files.config()).unwrap();
        assert!(text.contains("ports = [\"127.0.0.1:53:53/udp\"]"), "{text}");
        remove(&bench.store, name, port("127.0.0.1:53/udp"))
            .await
            .unwrap();
        assert_eq!(bench.store.load(name).unwrap().config.ports, []);
    }
}
