//! Sockets of the host that programs in the guest can use.
//!
//! The guest's agent opens a stream for each client and names the place in the guest where it came; [`table`] decides
//! whether it leads anywhere, and here it is joined. It lives on the link's thread, beside the mux.
//!
//! A guest is hostile: it names no path of the host and is told none, reaches what is configured for it and nothing else,
//! and has so many clients at a time.

mod table;

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use machine_host::local_socket;
use machine_protocol::link::{Incoming, ResetCode};
use tokio::time::Instant;

use self::table::{Refusal, Table};
use crate::forward;
use crate::machine::ForwardSocket;
use crate::machine::deadlines;
use crate::machine::sockets::HostSocket;

/// A place in the guest and where it leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The path in the guest.
    pub guest: String,
    /// The path on the host; nothing where it is not known.
    pub host: Option<PathBuf>,
}

/// A socket of the host took no connection of the guest's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreachable {
    /// The place in the guest.
    pub guest: String,
    /// Which socket, and why, in one line.
    pub reason: String,
}

/// What the SSH agent's variable says, where that can be used.
pub fn ssh_agent(variable: Option<&OsStr>) -> Option<PathBuf> {
    variable.map(PathBuf::from).filter(|path| path.has_root())
}

/// Where the sockets of a machine lead, for a host whose SSH agent is there.
pub fn routes(sockets: &[ForwardSocket], ssh_agent: Option<&Path>) -> Vec<Route> {
    let route = |socket: &ForwardSocket| Route {
        guest: socket.guest.clone(),
        host: match &socket.host {
            HostSocket::SshAgent => ssh_agent.map(Path::to_owned),
            HostSocket::Path(path) => Some(path.into()),
        },
    };
    sockets.iter().map(route).collect()
}

/// What is wrong with these, in one sentence.
pub fn problem(routes: &[Route]) -> Option<String> {
    let nowhere = routes.iter().filter(|route| route.host.is_none());
    let nowhere: Vec<&str> = nowhere.map(|route| &*route.guest).collect();
    (!nowhere.is_empty()).then(|| {
        format!(
            "`{}` leads to no SSH agent: SSH_AUTH_SOCK named none where the machine was started",
            nowhere.join("`, `")
        )
    })
}

type Tell = Box<dyn Fn(Unreachable) + Send + Sync>;

/// The sockets of one machine.
pub struct HostSockets {
    table: Mutex<Table>,
    tell: Tell,
}

impl fmt::Debug for HostSockets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("HostSockets")
            .finish_non_exhaustive()
    }
}

impl HostSockets {
    /// None yet; `tell` hears of sockets of the host that take no connection.
    pub fn new(tell: impl Fn(Unreachable) + Send + Sync + 'static) -> Self {
        Self {
            table: Mutex::default(),
            tell: Box::new(tell),
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has exactly these. Clients of others are cut off.
    pub fn set(&self, routes: Vec<Route>) {
        self.table().set(routes);
    }

    /// The places in the guest.
    pub fn places(&self) -> Vec<String> {
        self.table().places()
    }

    /// Joins a client of this place in the guest to the host's socket, to its end.
    pub async fn serve(&self, incoming: Incoming, guest: &str) {
        let admitted = self.table().admit(guest);
        let mut admitted = match admitted {
            Ok(admitted) => admitted,
            Err(refusal) => {
                tracing::info!(guest, %refusal, "A client of the guest is refused");
                let code = match refusal {
                    Refusal::Unknown | Refusal::TooMany => ResetCode::Refused,
                    Refusal::Nowhere => ResetCode::Unreachable,
                };
                return incoming.refuse_with(code, &refusal.to_string());
            }
        };
        let _place = Place(self);
        let limit = deadlines::HOST_SOCKET.limit;
        let connected = local_socket::connect(&admitted.host);
        let failure = match tokio::time::timeout(limit, connected).await {
            Ok(Ok(stream)) => {
                let relay = forward::join(stream, incoming.accept());
                tokio::select! {
                    () = relay => {}
                    // Nothing is ever sent: this is the end of its sender.
                    _ = admitted.gone.changed() => {}
                }
                return;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", limit.as_secs()),
        };
        incoming.refuse_with(
            ResetCode::Unreachable,
            "The host's socket takes no connection",
        );
        if self.table().failed(guest, Instant::now()) {
            let host = admitted.host.display();
            (self.tell)(Unreachable {
                guest: guest.to_owned(),
                reason: format!("`{host}` of the host takes no connection: {failure}"),
            });
        }
    }
}

/// The place of a client.
struct Place<'a>(&'a HostSockets);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.table().release();
    }
}

#[cfg(test)]
mod tests;
