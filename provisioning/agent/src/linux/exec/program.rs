//! The life of a program, which nobody needs to watch: when the host has gone the program is ended.

use std::cell::Cell;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::rc::Rc;
use std::time::Duration;

use machine_protocol::exec::{self, Exit};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Child;
use tokio::sync::{oneshot, watch};

use crate::linux::log::log_error;

/// How long a program may take to end after its host has gone.
const FAREWELL: Duration = Duration::from_secs(5);

/// Where the kernel does not tell, which does not happen.
const UNKNOWN: Exit = Exit::Code(u8::MAX);

/// A running program. Dropping it is the host's going away.
pub(super) struct Program {
    /// Its process group while it has not been reaped: only so long is the number its own.
    group: Rc<Cell<Option<Pid>>>,
    exit: watch::Receiver<Option<Exit>>,
    _wanted: oneshot::Sender<()>,
}

impl Program {
    /// Takes over a process that leads a group of its own. It is waited for in any case, so that nothing is left of it.
    pub(super) fn adopt(child: Child) -> Self {
        let number = child.id().and_then(|id| i32::try_from(id).ok());
        let group = Rc::new(Cell::new(number.and_then(Pid::from_raw)));
        let (told, exit) = watch::channel(None);
        let (wanted, gone) = oneshot::channel();
        tokio::task::spawn_local(live(child, Rc::clone(&group), gone, told));
        Self {
            group,
            exit,
            _wanted: wanted,
        }
    }

    /// Waits for its end.
    pub(super) async fn ended(&self) -> Exit {
        let mut exit = self.exit.clone();
        let exit = exit.wait_for(Option::is_some).await;
        exit.ok().and_then(|exit| *exit).unwrap_or(UNKNOWN)
    }

    /// Sends its group a signal, unless it has ended.
    pub(super) fn signal(&self, signal: exec::Signal) {
        send(
            &self.group,
            match signal {
                exec::Signal::Hangup => Signal::HUP,
                exec::Signal::Interrupt => Signal::INT,
                exec::Signal::Quit => Signal::QUIT,
                exec::Signal::Kill => Signal::KILL,
                exec::Signal::User1 => Signal::USR1,
                exec::Signal::User2 => Signal::USR2,
                exec::Signal::Terminate => Signal::TERM,
            },
        );
    }
}

async fn live(
    mut child: Child,
    group: Rc<Cell<Option<Pid>>>,
    gone: oneshot::Receiver<()>,
    told: watch::Sender<Option<Exit>>,
) {
    let status = tokio::select! {
        status = child.wait() => status,
        _ = gone => {
            send(&group, Signal::HUP);
            // One that was stopped would not hear it.
            send(&group, Signal::CONT);
            if let Ok(status) = tokio::time::timeout(FAREWELL, child.wait()).await {
                status
            } else {
                send(&group, Signal::KILL);
                child.wait().await
            }
        }
    };
    // In the same step in which it was reaped.
    group.set(None);
    let exit = match status {
        Ok(status) => exit(status),
        Err(error) => {
            log_error("A program's end is not known", &error);
            UNKNOWN
        }
    };
    told.send_replace(Some(exit));
}

fn send(group: &Cell<Option<Pid>>, signal: Signal) {
    if let Some(group) = group.get() {
        // Fails when the program has ended and is about to be reaped, and when it has become another user's.
        let _ = kill_process_group(group, signal);
    }
}

fn exit(status: ExitStatus) -> Exit {
    // The kernel keeps eight bits of a code and seven of a number.
    let small = |number: i32| u8::try_from(number & 0xFF).unwrap_or(u8::MAX);
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(small(code)),
        (None, Some(number)) => Exit::Signal(small(number)),
        (None, None) => UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends() {
        assert_eq!(exit(ExitStatus::from_raw(3 << 8)), Exit::Code(3));
        assert_eq!(exit(ExitStatus::from_raw(255 << 8)), Exit::Code(255));
        assert_eq!(exit(ExitStatus::from_raw(15)), Exit::Signal(15));
        // With a core dump.
        assert_eq!(exit(ExitStatus::from_raw(128 + 11)), Exit::Signal(11));
    }
}
