//! `system connection`: podman's connections as a user sees and changes them (section 1.6 of podman's behaviour), and
//! what `start` does with those of its machine.

mod add;
mod remote;
#[cfg(test)]
mod tests;

pub use add::{AddError, AddOutcome, AddRequest, add};
pub use remote::{RemoteError, RemoteHost, ask_remote};

use crate::connection::machine::{self as pair, Completed, Scheme};
use crate::connection::{Connection, ConnectionError, Connections, ConnectionsFile};
use crate::hostconf::ContainersConf;
use crate::hostconf::own::ConnectionScheme;
use crate::machine::MachineConfig;
use crate::store::{MachineFiles, Store};

/// One connection of the list.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedConnection {
    /// Its name.
    pub name: String,
    /// What it is.
    pub connection: Connection,
    /// Whether clients use it where none is named.
    pub default: bool,
    /// False for those of `containers.conf`, which nobody here changes.
    pub read_write: bool,
}

/// All connections, sorted by name. One of the file hides one of `containers.conf`, whose `active_service` is the default
/// where the file has none.
pub fn list(connections: &Connections, conf: &ContainersConf) -> Vec<ListedConnection> {
    let default = default_name(connections, conf);
    let written = connections
        .iter()
        .map(|(name, connection)| ListedConnection {
            name: name.to_owned(),
            connection: connection.clone(),
            default: default == Some(name),
            read_write: true,
        });
    let destinations = conf.engine.service_destinations.iter();
    let configured = destinations
        .filter(|(name, _)| connections.get(name).is_none())
        .map(|(name, destination)| {
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            ListedConnection {
                name: name.clone(),
                connection: Connection {
                    identity: text(&destination.identity),
                    tls_cert: text(&destination.tls_cert),
                    tls_key: text(&destination.tls_key),
                    tls_ca: text(&destination.tls_ca),
                    is_machine: destination.is_machine,
                    ..Connection::to(destination.uri.clone())
                },
                default: default == Some(name.as_str()),
                read_write: false,
            }
        });
    let mut all: Vec<_> = written.chain(configured).collect();
    all.sort_by(|one, other| one.name.cmp(&other.name));
    all
}

/// The name of the connection that clients use where none is named.
pub fn default_name<'a>(connections: &'a Connections, conf: &'a ContainersConf) -> Option<&'a str> {
    connections
        .default_name()
        .or(conf.engine.active_service.as_deref())
        .filter(|name| !name.is_empty())
}

/// Whether `list` marks the machine: the default connection has its name and leads to it (section 1.4.5).
pub fn marks(connections: &[ListedConnection], config: &MachineConfig) -> bool {
    connections.iter().any(|listed| {
        listed.default
            && listed.name == config.name.as_str()
            && pair::leads_to(&listed.connection.uri, config)
    })
}

/// Makes a connection of the file the default.
pub fn set_default(file: &ConnectionsFile, name: &str) -> Result<(), ConnectionError> {
    file.edit(|connections| {
        let known = connections.set_default(name);
        known.then_some(()).ok_or_else(|| not_defined(name))
    })
}

/// Gives a connection of the file another name, in place of one that has it.
pub fn rename(file: &ConnectionsFile, old: &str, new: &str) -> Result<(), ConnectionError> {
    file.edit(|connections| {
        let known = connections.rename(old, new);
        known.then_some(()).ok_or_else(|| not_defined(old))
    })
}

/// Removes a connection; one that is not there is no error.
pub fn remove(file: &ConnectionsFile, name: &str) -> Result<(), ConnectionError> {
    file.edit(|connections| {
        connections.remove(name);
        Ok(())
    })
}

/// Removes all connections.
pub fn remove_all(file: &ConnectionsFile) -> Result<(), ConnectionError> {
    file.edit(|connections| {
        connections.remove_all();
        Ok(())
    })
}

/// How connections lead to machines, as it is configured.
pub fn scheme(configured: Option<ConnectionScheme>) -> Scheme {
    match configured.unwrap_or_default() {
        ConnectionScheme::Ssh => Scheme::Ssh,
        ConnectionScheme::Socket => Scheme::Socket,
    }
}

/// What `start` does with the connections once the machine is up: what killed commands left is finished, the pair is
/// made whole, and the connection of the machine's mode becomes the default where that is asked for.
pub fn after_start(
    store: &Store,
    file: &ConnectionsFile,
    config: &MachineConfig,
    files: &MachineFiles,
    scheme: Scheme,
    make_default: bool,
) -> Result<Completed, ConnectionError> {
    pair::sweep(file, |name| store.absent(name))?;
    let completed = pair::complete(file, config, files, scheme)?;
    let name = pair::name_of_mode(&config.name, config.rootful);
    if make_default && !completed.foreign.contains(&name) {
        pair::make_default(file, &config.name, config.rootful)?;
    }
    Ok(completed)
}

fn not_defined(name: &str) -> ConnectionError {
    ConnectionError::NotDefined {
        name: name.to_owned(),
    }
}
