//! The carrier that we dial, a virtio-serial port: connect, say hello, run the mux, begin again.
//!
//! A session ends when the stream breaks, when the guest closes its end (the hypervisor tells), or when the mux meets
//! bytes that are not its own. What starts the next one is an event as well: the broken stream itself, or the guest
//! opening its end again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use machine_protocol::link::LinkError;
use tokio::sync::Notify;

use super::session::Hub;

/// What the hypervisor tells of the guest's end.
#[derive(Debug, Default)]
pub(super) struct Signals {
    pub(super) opened: Notify,
    pub(super) closed: Notify,
}

enum Ended {
    BeforeHello { reason: String, rejected: bool },
    AfterHello(String),
}

/// Keeps a session up for as long as somebody hears of it.
pub(super) async fn keep_up(hub: Arc<Hub>, carrier: usize, socket: PathBuf, signals: Arc<Signals>) {
    while !hub.is_over() {
        let ended = tokio::select! {
            ended = session(&hub, carrier, &socket, &signals) => ended,
            () = signals.closed.notified() => Ended::AfterHello("the guest closed its end".to_owned()),
        };
        match ended {
            Ended::AfterHello(reason) => hub.down(carrier, &reason),
            Ended::BeforeHello { reason, rejected } => {
                hub.refused(reason, rejected);
                // Trying again at once would spin; a guest that comes back opens its end, which is an event.
                signals.opened.notified().await;
            }
        }
    }
}

async fn session(hub: &Arc<Hub>, carrier: usize, socket: &Path, signals: &Signals) -> Ended {
    let stream = match machine_host::local_socket::connect(socket).await {
        Ok(stream) => stream,
        Err(error) => {
            return Ended::BeforeHello {
                reason: format!("no carrier at `{}`: {error}", socket.display()),
                rejected: false,
            };
        }
    };
    match hub.hello(carrier, stream, &signals.opened).await {
        Ok((link, driver)) => Ended::AfterHello(hub.run(carrier, link, driver).await),
        Err(error) => Ended::BeforeHello {
            reason: error.to_string(),
            rejected: matches!(error, LinkError::Rejected(_)),
        },
    }
}
