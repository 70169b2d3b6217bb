//! The carrier that is a program of the host: start it, say hello over its standard streams, run the mux, begin again.
//!
//! The program waits for the agent by itself and ends with the session, so its end is what starts the next one. One that
//! ends without a session may do so at once, and then the next has to wait.

use std::sync::Arc;

use machine_protocol::link::LinkError;
use tokio::sync::Notify;

use super::carrier::CarrierProgram;
use super::session::Hub;
use crate::machine::deadlines;

enum Ended {
    BeforeHello { reason: String, rejected: bool },
    AfterHello(String),
}

/// Keeps a session up for as long as somebody hears of it.
pub(super) async fn keep_up(
    hub: Arc<Hub>,
    carrier: usize,
    program: CarrierProgram,
    reset: Arc<Notify>,
) {
    while !hub.is_over() {
        let ended = tokio::select! {
            ended = session(&hub, carrier, &program) => ended,
            () = reset.notified() => Ended::AfterHello("the guest was reset".to_owned()),
        };
        match ended {
            Ended::AfterHello(reason) => hub.down(carrier, &reason),
            Ended::BeforeHello { reason, rejected } => hub.refused(reason, rejected),
        }
        pause().await;
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "nothing tells that a program would be more successful now"
)]
async fn pause() {
    tokio::time::sleep(deadlines::CARRIER_PAUSE.limit).await;
}

async fn session(hub: &Arc<Hub>, carrier: usize, program: &CarrierProgram) -> Ended {
    let (mut child, stream) = match program.start() {
        Ok(started) => started,
        Err(error) => {
            return Ended::BeforeHello {
                reason: format!("`{}` cannot be started: {error}", program.program.display()),
                rejected: false,
            };
        }
    };
    let again = Notify::new();
    let ended = match hub.hello(carrier, stream, &again).await {
        Ok((link, driver)) => Ended::AfterHello(hub.run(carrier, link, driver).await),
        Err(error) => Ended::BeforeHello {
            reason: error.to_string(),
            rejected: matches!(error, LinkError::Rejected(_)),
        },
    };
    // It has lost its streams; one that stays is ended with the value.
    let _ = tokio::time::timeout(deadlines::CARRIER_PAUSE.limit, child.wait()).await;
    ended
}
