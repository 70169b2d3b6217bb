//! SIGTERM, and SIGHUP of a terminal that closes, which a detached process outlives.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Listens for the wish to end. From its creation on the signals no longer end the process by themselves.
#[derive(Debug)]
pub struct Termination {
    terminate: Signal,
    hangup: Signal,
}

impl Termination {
    /// Starts to listen; needs a tokio runtime.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next wish to end.
    pub async fn recv(&mut self) {
        loop {
            tokio::select! {
                Some(()) = self.terminate.recv() => return,
                Some(()) = self.hangup.recv() => {}
                else => std::future::pending().await,
            }
        }
    }
}
