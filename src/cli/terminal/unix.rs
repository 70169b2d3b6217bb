//! Terminals by `termios`.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::sync::{Mutex, Once, PoisonError};

use machine_protocol::exec::{self, WindowSize};
use rustix::stdio::{stderr, stdin, stdout};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Notice;

/// How the terminal was before it became raw. A panic must find it without the guard.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// Standard input hands every key on as it is, until this is dropped. A panic undoes it too.
#[derive(Debug)]
pub struct Raw(());

impl Raw {
    /// Makes the terminal at standard input raw; nothing where there is none.
    pub fn enter() -> io::Result<Option<Self>> {
        if !io::stdin().is_terminal() {
            return Ok(None);
        }
        restore_on_panic();
        let before = tcgetattr(stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        let guard = Self(());
        tcsetattr(stdin(), OptionalActions::Now, &raw)?;
        Ok(Some(guard))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        restore();
    }
}

fn restore() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = before {
        // A terminal that is gone needs none.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &before);
    }
}

/// A panic may end the process without dropping anything.
fn restore_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            restore();
            before(panic);
        }));
    });
}

/// The size of the terminal, whichever standard stream it is.
pub fn size() -> Option<WindowSize> {
    let of_any = [stdout(), stdin(), stderr()];
    let found = of_any.into_iter().find_map(|end| tcgetwinsize(end).ok())?;
    Some(WindowSize {
        rows: found.ws_row,
        columns: found.ws_col,
    })
}

/// Standard input without a buffer and without a lock, for a thread that waits for it.
pub fn input() -> io::Result<File> {
    Ok(io::stdin().as_fd().try_clone_to_owned()?.into())
}

/// The signals that concern the program. While this lives they do not end this process.
#[derive(Debug)]
pub struct Signals {
    resized: Signal,
    interrupt: Signal,
    terminate: Signal,
    quit: Signal,
    hangup: Signal,
}

impl Signals {
    /// Listens from now on.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            resized: signal(SignalKind::window_change())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            quit: signal(SignalKind::quit())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The next one. Cancel safe.
    pub async fn next(&mut self) -> Notice {
        tokio::select! {
            _ = self.resized.recv() => Notice::Resized,
            _ = self.interrupt.recv() => Notice::Signal(exec::Signal::Interrupt),
            _ = self.terminate.recv() => Notice::Signal(exec::Signal::Terminate),
            _ = self.quit.recv() => Notice::Signal(exec::Signal::Quit),
            _ = self.hangup.recv() => Notice::Signal(exec::Signal::Hangup),
        }
    }
}
