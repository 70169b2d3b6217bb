//! Windows' console: its events are signals; raw mode is not there yet.

use std::fs::File;
use std::io;
use std::os::windows::io::AsHandle;

use machine_protocol::exec::{Signal, WindowSize};
use tokio::signal::windows::{self, CtrlBreak, CtrlC, CtrlClose};

use super::Notice;

/// Raw mode.
#[derive(Debug)]
pub struct Raw(());

impl Raw {
    /// Fails.
    pub fn enter() -> io::Result<Option<Self>> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "a program in a machine cannot have this console as its terminal yet; use --no-tty",
        ))
    }
}

/// Not known.
pub fn size() -> Option<WindowSize> {
    None
}

/// Standard input without a buffer and without a lock, for a thread that waits for it.
pub fn input() -> io::Result<File> {
    Ok(io::stdin().as_handle().try_clone_to_owned()?.into())
}

/// The events that concern the program. While this lives they do not end this process.
#[derive(Debug)]
pub struct Signals {
    interrupt: CtrlC,
    stop: CtrlBreak,
    close: CtrlClose,
}

impl Signals {
    /// Listens from now on.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: windows::ctrl_c()?,
            stop: windows::ctrl_break()?,
            close: windows::ctrl_close()?,
        })
    }

    /// The next one. Cancel safe.
    pub async fn next(&mut self) -> Notice {
        Notice::Signal(tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.stop.recv() => Signal::Terminate,
            _ = self.close.recv() => Signal::Hangup,
        })
    }
}
