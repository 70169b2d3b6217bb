//! The console events that announce a shutdown, a log-off or a closed console.

use std::io;

use tokio::signal::windows::{
    CtrlClose, CtrlLogoff, CtrlShutdown, ctrl_close, ctrl_logoff, ctrl_shutdown,
};

/// Listens for the wish to end.
#[derive(Debug)]
pub struct Termination {
    close: CtrlClose,
    logoff: CtrlLogoff,
    shutdown: CtrlShutdown,
}

impl Termination {
    /// Starts to listen; needs a tokio runtime.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            close: ctrl_close()?,
            logoff: ctrl_logoff()?,
            shutdown: ctrl_shutdown()?,
        })
    }

    /// Waits for the next wish to end.
    pub async fn recv(&mut self) {
        tokio::select! {
            Some(()) = self.close.recv() => {}
            Some(()) = self.logoff.recv() => {}
            Some(()) = self.shutdown.recv() => {}
            else => std::future::pending().await,
        }
    }
}
