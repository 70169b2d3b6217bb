//! Host-side listeners joined to targets in the guest.

use machine_host::local_socket::{self, Listener, Stream};
use machine_protocol::link::Link;
use machine_protocol::message::{Engine, Target};
use tokio::sync::{Notify, watch};

use crate::machine::deadlines;

#[cfg(unix)]
#[path = "unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "windows.rs"]
mod platform;

/// Serves one engine of the guest to every client of `listener`, for as long as the caller polls.
///
/// A client that comes while there is no link is closed at once: waiting would look like a hanging engine.
pub async fn engine(mut listener: Listener, engine: Engine, link: watch::Receiver<Option<Link>>) {
    let relay_ended = std::sync::Arc::new(Notify::new());
    loop {
        let client = match listener.accept().await {
            Ok(client) => client,
            Err(error) => {
                tracing::warn!(%error, "A client of the API socket could not be accepted");
                // Out of descriptors, as a rule; one comes free when a relay ends, or elsewhere in the process.
                let _ = tokio::time::timeout(deadlines::ACCEPT.limit, relay_ended.notified()).await;
                continue;
            }
        };
        let Some(link) = link.borrow().clone() else {
            continue;
        };
        let stream = match link.open(&Target::Engine(engine)) {
            Ok(stream) => stream,
            Err(error) => {
                tracing::debug!(%error, "A client of the API socket finds no stream");
                continue;
            }
        };
        let relay_ended = std::sync::Arc::clone(&relay_ended);
        tokio::spawn(async move {
            platform::relay(client, stream).await;
            relay_ended.notify_one();
        });
    }
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
