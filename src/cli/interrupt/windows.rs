//! Ctrl-C, Ctrl-Break and the end of the console.

use std::future::pending;

use tokio::signal::windows;

/// Ends when the process is asked to stop.
pub async fn requested() {
    let events = (
        windows::ctrl_c(),
        windows::ctrl_break(),
        windows::ctrl_close(),
    );
    let (Ok(mut interrupt), Ok(mut stop), Ok(mut close)) = events else {
        // Without handlers the events end the process as they always did.
        return pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = stop.recv() => {}
        _ = close.recv() => {}
    }
}
