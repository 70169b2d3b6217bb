//! The carrier on which the guest dials us, a vsock: accept, say hello, run the mux.
//!
//! Any process of the guest can dial, so a caller is a stranger until its hello is complete: strangers are few, have
//! little time, and what they say is reported to nobody. One that proves itself takes the place of the session of
//! before, for the agent dials anew only when that one is over at its end.

use std::sync::Arc;

use machine_protocol::link::{Link, LinkDriver};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::carrier::{Accept, Io};
use super::session::Hub;
use crate::machine::deadlines;

/// How many callers may be strangers at a time; a further one is hung up on at once.
const STRANGERS: usize = 4;

type Session = (Link, LinkDriver<Box<dyn Io>>);

/// Serves callers for as long as somebody hears of it; `reset` tells that the guest's end is gone.
pub(super) async fn serve(
    hub: Arc<Hub>,
    carrier: usize,
    mut callers: impl Accept,
    reset: Arc<Notify>,
) {
    let mut strangers: JoinSet<Option<Session>> = JoinSet::new();
    // One task at most.
    let mut session: JoinSet<String> = JoinSet::new();
    while !hub.is_over() {
        tokio::select! {
            caller = callers.accept() => match caller {
                Ok(Some(stream)) if strangers.len() < STRANGERS => {
                    strangers.spawn(greet(Arc::clone(&hub), carrier, stream));
                }
                Ok(Some(_)) => tracing::warn!("Too many processes of the guest dial the agent's port"),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, "A vsock connection could not be accepted");
                    let _ = tokio::time::timeout(deadlines::ACCEPT.limit, reset.notified()).await;
                }
            },
            Some(greeted) = strangers.join_next() => {
                if let Ok(Some((link, driver))) = greeted {
                    session = JoinSet::new();
                    let hub = Arc::clone(&hub);
                    session.spawn(async move { hub.run(carrier, link, driver).await });
                }
            }
            Some(ended) = session.join_next() => {
                let reason = ended.unwrap_or_else(|error| error.to_string());
                hub.down(carrier, &reason);
            }
            () = reset.notified() => {
                strangers = JoinSet::new();
                session = JoinSet::new();
                hub.down(carrier, "the guest was reset");
            }
        }
    }
}

async fn greet(hub: Arc<Hub>, carrier: usize, stream: Box<dyn Io>) -> Option<Session> {
    let never = Notify::new();
    let hello = hub.hello(carrier, stream, &never);
    match tokio::time::timeout(deadlines::VSOCK_HELLO.limit, hello).await {
        Ok(Ok(session)) => Some(session),
        Ok(Err(error)) => {
            tracing::debug!(%error, "A caller did not prove itself");
            None
        }
        Err(_) => {
            tracing::debug!("A caller did not prove itself in time");
            None
        }
    }
}

#[cfg(test)]
#[path = "awaited_tests.rs"]
mod tests;
