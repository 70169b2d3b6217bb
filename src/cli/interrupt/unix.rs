//! SIGINT, SIGTERM and SIGHUP.

use std::future::pending;

use tokio::signal::unix::{SignalKind, signal};

/// Ends when the process is asked to stop.
pub async fn requested() {
    let signals = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
        signal(SignalKind::hangup()),
    );
    let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)) = signals else {
        // Without handlers the signals end the process as they always did.
        return pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
}
