//! Host-side listeners joined to targets in the guest.

use std::io;
use std::sync::Arc;

use machine_host::local_socket::{self, Stream};
use machine_protocol::link::{Link, MuxStream};
use machine_protocol::message::Target;
use machine_protocol::relay::relay_tcp;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

use crate::machine::deadlines;

#[cfg(unix)]
#[path = "unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "windows.rs"]
mod platform;

/// Where clients come from.
#[derive(Debug)]
pub enum Listener {
    /// A socket of this host.
    Local(local_socket::Listener),
    /// A TCP port.
    Tcp(TcpListener),
}

enum Client {
    Local(Stream),
    Tcp(TcpStream),
}

impl Listener {
    async fn accept(&mut self) -> io::Result<Client> {
        match self {
            Self::Local(listener) => listener.accept().await.map(Client::Local),
            Self::Tcp(listener) => listener.accept().await.map(|(stream, _)| {
                // A failure costs speed and nothing else.
                let _ = stream.set_nodelay(true);
                Client::Tcp(stream)
            }),
        }
    }
}

impl Client {
    async fn relay(self, stream: MuxStream) {
        match self {
            Self::Local(client) => platform::relay(client, stream).await,
            Self::Tcp(client) => match relay_tcp(client, stream).await {
                Ok(relayed) => tracing::trace!(?relayed, "A client of a port is done"),
                Err(error) => tracing::debug!(%error, "A client of a port was cut off"),
            },
        }
    }
}

/// Joins every client of `listener` to the present target, for as long as the caller polls.
///
/// A client that comes while there is no link is closed at once: waiting would look like a hanging service.
pub async fn serve(
    mut listener: Listener,
    target: watch::Receiver<Target>,
    link: watch::Receiver<Option<Link>>,
) {
    let relay_ended = Arc::new(Notify::new());
    loop {
        let client = match listener.accept().await {
            Ok(client) => client,
            Err(error) => {
                tracing::warn!(%error, "A client could not be accepted");
                // Out of descriptors, as a rule; one comes free when a relay ends, or elsewhere in the process.
                let _ = tokio::time::timeout(deadlines::ACCEPT.limit, relay_ended.notified()).await;
                continue;
            }
        };
        let Some(link) = link.borrow().clone() else {
            continue;
        };
        let stream = match link.open(&target.borrow()) {
            Ok(stream) => stream,
            Err(error) => {
                tracing::debug!(%error, "A client finds no stream");
                continue;
            }
        };
        let relay_ended = Arc::clone(&relay_ended);
        tokio::spawn(async move {
            client.relay(stream).await;
            relay_ended.notify_one();
        });
    }
}

/// Joins a socket of this host to a stream of the guest's, to the end of both.
pub async fn join(socket: Stream, stream: MuxStream) {
    platform::relay(socket, stream).await;
}

/// Joins one client to a target in the guest; without a link it is closed at once.
pub fn tunnel(client: Stream, target: &Target, link: &watch::Receiver<Option<Link>>) {
    let Some(link) = link.borrow().clone() else {
        return;
    };
    let joined = local_socket::rehome(client).map_err(|error| error.to_string());
    let joined = joined.and_then(|client| {
        Ok((
            client,
            link.open(target).map_err(|error| error.to_string())?,
        ))
    });
    match joined {
        Ok((client, stream)) => {
            tokio::spawn(platform::relay(client, stream));
        }
        Err(error) => tracing::debug!(error, "A client could not be joined to the guest"),
    }
}
