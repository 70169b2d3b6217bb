//! The end of the user's session, and the console events that announce a shutdown, a log-off or a closed console.

use std::io;

use tokio::signal::windows::{
    CtrlClose, CtrlLogoff, CtrlShutdown, ctrl_close, ctrl_logoff, ctrl_shutdown,
};

use crate::sys::SessionEnd;

/// Listens for the wish to end.
#[derive(Debug)]
pub struct Termination {
    close: CtrlClose,
    logoff: CtrlLogoff,
    shutdown: CtrlShutdown,
    /// None without a desktop: there a session has nothing to end, and the events are all that there is.
    session: Option<SessionEnd>,
}

impl Termination {
    /// Starts to listen; needs a tokio runtime.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            close: ctrl_close()?,
            logoff: ctrl_logoff()?,
            shutdown: ctrl_shutdown()?,
            session: SessionEnd::listen().ok(),
        })
    }

    /// Waits for the next wish to end.
    pub async fn recv(&mut self) {
        let session = async {
            match &mut self.session {
                Some(session) => session.recv().await,
                None => None,
            }
        };
        tokio::select! {
            Some(()) = self.close.recv() => {}
            Some(()) = self.logoff.recv() => {}
            Some(()) = self.shutdown.recv() => {}
            Some(()) = session => {}
            else => std::future::pending().await,
        }
    }
}
