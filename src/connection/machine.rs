//! The pair of connections that each machine has: NAME leads to the user's engine, NAME-root to root's.
//!
//! A connection belongs to a machine when it uses the machine's own key or leads to one of its sockets. What belongs to
//! nobody here is never changed, whatever it is called.

use std::path::Path;

use super::{Connection, ConnectionError, Connections, ConnectionsFile};
use crate::machine::{MachineConfig, MachineName};
use crate::store::MachineFiles;

/// Behind the machine's name in the name of the connection to root's engine.
pub const ROOT_SUFFIX: &str = "-root";
/// Where the connections lead to; podman writes the number and not the name.
const LOOPBACK: &str = "127.0.0.1";
/// The socket of root's engine in the guest.
const ROOTFUL_PATH: &str = "/run/podman/podman.sock";

/// How clients reach a machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// By SSH, exactly as podman writes it.
    #[default]
    Ssh,
    /// By the machine's sockets: no SSH handshake with each command, and none of what podman's clients do for a machine
    /// only (paths instead of uploads, `podman compose`).
    Socket,
}

/// The names of the pair: the user's engine, root's engine.
pub fn names(machine: &MachineName) -> [String; 2] {
    [machine.to_string(), format!("{machine}{ROOT_SUFFIX}")]
}

/// The name of the connection to the engine of the machine's mode.
pub fn name_of_mode(machine: &MachineName, rootful: bool) -> String {
    let [user, root] = names(machine);
    if rootful { root } else { user }
}

/// Fails with podman's text where a name of the pair is taken (section 1.4.1, check 8).
pub fn check_free(connections: &Connections, machine: &MachineName) -> Result<(), ConnectionError> {
    match names(machine)
        .into_iter()
        .find(|name| connections.get(name).is_some())
    {
        Some(name) => Err(ConnectionError::Taken { name }),
        None => Ok(()),
    }
}

/// Adds the pair of a new machine. The connection of its mode becomes the default where `make_default` says so, and
/// where it is the first connection ever.
pub fn add(
    file: &ConnectionsFile,
    config: &MachineConfig,
    files: &MachineFiles,
    scheme: Scheme,
    make_default: Option<bool>,
) -> Result<(), ConnectionError> {
    let pair = pair(config, files, scheme)?;
    file.edit(|connections| {
        check_free(connections, &config.name)?;
        insert(connections, &config.name, config.rootful, pair);
        if make_default == Some(true) {
            connections.set_default(&name_of_mode(&config.name, config.rootful));
        }
        Ok(())
    })
}

/// What can be wrong with a connection of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// There is none of this name.
    Missing,
    /// It does not belong to the machine.
    Foreign,
    /// It leads to another port than the machine's SSH server has.
    Port,
}

/// What is wrong with the pair of a machine: each connection by its name, at most once.
pub fn flaws(
    connections: &Connections,
    config: &MachineConfig,
    files: &MachineFiles,
) -> Vec<(String, Flaw)> {
    let flaw = |name: &str| match connections.get(name) {
        None => Some(Flaw::Missing),
        Some(connection) if !belongs(connection, files) => Some(Flaw::Foreign),
        Some(connection) => with_port(&connection.uri, config.ssh_port)
            .filter(|right| *right != connection.uri)
            .map(|_| Flaw::Port),
    };
    names(&config.name)
        .into_iter()
        .filter_map(|name| flaw(&name).map(|flaw| (name, flaw)))
        .collect()
}

/// What [`complete`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completed {
    /// Connections that were missing and were added.
    pub added: Vec<String>,
    /// Connections of these names that do not belong to the machine; they were left.
    pub foreign: Vec<String>,
}

/// Adds what is missing of the pair of a machine: its `init` may have been killed, or somebody has removed it by hand.
/// The file is neither locked nor written where nothing is missing.
pub fn complete(
    file: &ConnectionsFile,
    config: &MachineConfig,
    files: &MachineFiles,
    scheme: Scheme,
) -> Result<Completed, ConnectionError> {
    let pair = pair(config, files, scheme)?;
    let look = |connections: &Connections| {
        let mut found = Completed::default();
        for (name, flaw) in flaws(connections, config, files) {
            match flaw {
                Flaw::Missing => found.added.push(name),
                Flaw::Foreign => found.foreign.push(name),
                Flaw::Port => {}
            }
        }
        found
    };
    let found = look(&file.read()?);
    if found.added.is_empty() {
        return Ok(found);
    }
    file.edit(|connections| {
        let found = look(connections);
        let missing = pair
            .into_iter()
            .filter(|(name, _)| found.added.contains(name));
        let missing: Vec<_> = missing.collect();
        insert(connections, &config.name, config.rootful, missing);
        Ok(found)
    })
}

/// Makes the connection of the machine's mode the default; false where there is none.
pub fn make_default(
    file: &ConnectionsFile,
    machine: &MachineName,
    rootful: bool,
) -> Result<bool, ConnectionError> {
    file.edit(|connections| Ok(connections.set_default(&name_of_mode(machine, rootful))))
}

/// Removes the connections of a machine that was removed; its files are those it had. `is_gone` is asked under the lock:
/// another machine may have the name, and a pair, by now. Connections that are not there are no error.
pub fn remove(
    file: &ConnectionsFile,
    files: &MachineFiles,
    is_gone: impl FnOnce() -> bool,
) -> Result<(), ConnectionError> {
    let belong = |connections: &Connections| -> Vec<String> {
        let found = connections.iter();
        let found = found.filter(|(_, connection)| belongs(connection, files));
        found.map(|(name, _)| name.to_owned()).collect()
    };
    if belong(&file.read()?).is_empty() {
        return Ok(());
    }
    file.edit(|connections| {
        if is_gone() {
            for name in belong(connections) {
                connections.remove(&name);
            }
        }
        Ok(())
    })
}

/// The connections that lead to machines that are gone, by their names. `absent` as for [`sweep`], which removes them.
pub fn orphans(
    connections: &Connections,
    absent: impl Fn(&MachineName) -> Option<MachineFiles>,
) -> Vec<String> {
    let is_orphan = |name: &str, connection: &Connection| {
        let mut machines = [Some(name), name.strip_suffix(ROOT_SUFFIX)]
            .into_iter()
            .flatten();
        machines.any(|machine| {
            let machine = MachineName::parse(machine).ok();
            let files = machine.and_then(|machine| absent(&machine));
            files.is_some_and(|files| belongs(connection, &files))
        })
    };
    let found = connections.iter();
    let found = found.filter(|(name, connection)| is_orphan(name, connection));
    found.map(|(name, _)| name.to_owned()).collect()
}

/// Removes the pairs of machines whose `rm` was killed before it came to that. `absent` returns the files that a machine
/// of this name had, and none where the machine exists. The file is neither locked nor written where nothing is left.
pub fn sweep(
    file: &ConnectionsFile,
    absent: impl Fn(&MachineName) -> Option<MachineFiles>,
) -> Result<(), ConnectionError> {
    if orphans(&file.read()?, &absent).is_empty() {
        return Ok(());
    }
    file.edit(|connections| {
        // Once more, under the lock: a machine of the name may have been made, and its pair been added, meanwhile.
        for name in orphans(connections, &absent) {
            connections.remove(&name);
        }
        Ok(())
    })
}

/// Writes the machine's SSH port into all its connections by SSH, and keeps everything else of them.
pub fn set_port(
    file: &ConnectionsFile,
    config: &MachineConfig,
    files: &MachineFiles,
) -> Result<(), ConnectionError> {
    file.edit(|connections| {
        let belonging = connections.iter();
        let belonging = belonging.filter(|(_, connection)| belongs(connection, files));
        let uris: Vec<_> = belonging
            .filter_map(|(name, connection)| {
                let uri = with_port(&connection.uri, config.ssh_port)?;
                Some((name.to_owned(), uri))
            })
            .collect();
        for (name, uri) in uris {
            if let Some(connection) = connections.get_mut(&name) {
                connection.uri = uri;
            }
        }
        Ok(())
    })
}

/// Lets the default follow the machine's mode where it was a connection of the pair (section 3.9).
pub fn follow_mode(
    file: &ConnectionsFile,
    machine: &MachineName,
    rootful: bool,
) -> Result<(), ConnectionError> {
    file.edit(|connections| {
        let [user, root] = names(machine);
        let (from, to) = if rootful { (user, root) } else { (root, user) };
        if connections.default_name() == Some(from.as_str()) {
            connections.set_default(&to);
        }
        Ok(())
    })
}

/// Whether the machine is the one that `list` marks: the default connection has exactly its name and leads to it
/// (section 1.4.5). A rootful machine's own default, NAME-root, does not count, as with podman.
pub fn default_of(connections: &Connections, config: &MachineConfig) -> bool {
    let name = config.name.as_str();
    let connection = connections.get(name);
    connections.default_name() == Some(name)
        && connection.is_some_and(|connection| leads_to(&connection.uri, config))
}

/// Whether an address leads to the machine: by its SSH port, or by a socket of its.
pub fn leads_to(uri: &str, config: &MachineConfig) -> bool {
    match uri.strip_prefix("unix://") {
        Some(path) => Path::new(path).starts_with(&config.sockets),
        None => uri.contains(&format!(":{}/", config.ssh_port)),
    }
}

/// The connection of the machine's mode first, which is the one that becomes the default of an empty list.
fn insert(
    connections: &mut Connections,
    machine: &MachineName,
    rootful: bool,
    mut pair: Vec<(String, Connection)>,
) {
    let first = name_of_mode(machine, rootful);
    pair.sort_by_key(|(name, _)| *name != first);
    for (name, connection) in pair {
        connections.insert(&name, connection);
    }
}

fn pair(
    config: &MachineConfig,
    files: &MachineFiles,
    scheme: Scheme,
) -> Result<Vec<(String, Connection)>, ConnectionError> {
    let [user, root] = names(&config.name);
    let both = match scheme {
        Scheme::Ssh => {
            let identity = text(&files.ssh_client_key())?;
            let connection = |guest_user: &str, path: &str| Connection {
                identity: identity.clone(),
                is_machine: true,
                ..Connection::to(format!(
                    "ssh://{guest_user}@{LOOPBACK}:{}{path}",
                    config.ssh_port
                ))
            };
            let path = format!("/run/user/{}/podman/podman.sock", config.uid);
            [
                connection(&config.user, &path),
                connection("root", ROOTFUL_PATH),
            ]
        }
        Scheme::Socket => [
            Connection::to(socket_uri(&files.rootless_socket())?),
            Connection::to(socket_uri(&files.rootful_socket())?),
        ],
    };
    Ok([user, root].into_iter().zip(both).collect())
}

fn belongs(connection: &Connection, files: &MachineFiles) -> bool {
    let is = |path: &Path, text: &str| path.to_str() == Some(text);
    if connection.is_machine && is(&files.ssh_client_key(), &connection.identity) {
        return true;
    }
    [files.rootless_socket(), files.rootful_socket()]
        .iter()
        .any(|socket| socket_uri(socket).is_ok_and(|uri| uri == connection.uri))
}

/// The URI with another port on the loopback address; `None` for one that leads elsewhere.
fn with_port(uri: &str, port: u16) -> Option<String> {
    let (before, after) = uri.split_once(&format!("@{LOOPBACK}:"))?;
    before.strip_prefix("ssh://")?;
    let path = after.trim_start_matches(|next: char| next.is_ascii_digit());
    Some(format!("{before}@{LOOPBACK}:{port}{path}"))
}

/// Podman's client takes what stands behind `unix://` for the path as it is.
fn socket_uri(path: &Path) -> Result<String, ConnectionError> {
    Ok(format!("unix://{}", text(path)?))
}

fn text(path: &Path) -> Result<String, ConnectionError> {
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| ConnectionError::NotUnicode(path.to_owned()))
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
