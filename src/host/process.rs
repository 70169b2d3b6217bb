//! Processes that outlive us, and how to recognise one again.

use std::fs::File;
use std::io;
use std::process::{Child, Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::{facts, sys};

/// One process, told apart from every other that has, had or will have its number.
///
/// Kept only to find a survivor again. Whether a machine *runs* is asked over its control socket.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct ProcessIdentity {
    /// The kernel's number, used again after the process has ended.
    pub pid: u32,
    /// When the kernel started it: clock ticks since the boot on Linux, microseconds since 1970 on
    /// macOS, units of 100 ns since 1601 on Windows. Only ever compared for equality.
    pub started: u64,
    /// The boot that it belongs to, see [`facts::boot_id`].
    pub boot: String,
}

impl ProcessIdentity {
    /// The process that has this number now, or `None` where there is none, where it has ended and
    /// only waits to be reaped, or where it belongs to somebody whose processes we may not look at.
    pub fn of(pid: u32) -> io::Result<Option<Self>> {
        let started = sys::process_start(pid)?;
        Ok(started.map(|started| Self {
            pid,
            started,
            boot: facts::boot_id(),
        }))
    }

    /// This process.
    pub fn current() -> io::Result<Self> {
        Self::of(std::process::id())?.ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::NotFound,
                "The system does not list this process",
            )
        })
    }

    /// Whether it still runs. When the system cannot say, it counts as alive, for the mistake of
    /// starting a second VM on the disk of the first is the worse one.
    pub fn is_alive(&self) -> bool {
        Self::of(self.pid).map_or(true, |found| found.as_ref() == Some(self))
    }

    /// Waits until the process is gone, whether or not it is a child of this one. Needs a tokio
    /// runtime with IO and time; may be dropped at any point.
    pub async fn ended(&self) {
        sys::ended(self).await;
    }

    /// Ends it at once. A process that is gone already is a success.
    pub fn kill(&self) -> io::Result<()> {
        sys::kill(self)
    }

    /// Asks it to end (SIGTERM). A process that is gone already is a success. Windows has no such
    /// request for a process without a console: there this is `Unsupported`.
    pub fn terminate(&self) -> io::Result<()> {
        sys::terminate(self)
    }
}

/// Starts `command` so that it outlives this process, its terminal and its session.
///
/// It gets a session of its own (on Windows: no console, a group of its own, and outside of our job
/// where the job allows that) and no input; output goes where the command says. It inherits only
/// the descriptors that were given to the command: those which this process got from *its* parent
/// without asking, such as a pipe of a test runner, are closed to it.
pub fn spawn_detached(command: &mut Command) -> io::Result<Child> {
    sys::spawn_detached(command, Stdio::null())
}

/// As [`spawn_detached`], with `input` as its standard input.
pub fn spawn_detached_reading(command: &mut Command, input: File) -> io::Result<Child> {
    sys::spawn_detached(command, input.into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing;

    #[tokio::test]
    async fn identity_survives_a_round_trip_and_tells_reuse_apart() {
        let mut child = testing::Child::start("wait", &[]);
        child.wait_for("ready");
        let identity = ProcessIdentity::of(child.id()).unwrap().unwrap();
        let stored = serde_json::to_string(&identity).unwrap();
        let identity: ProcessIdentity = serde_json::from_str(&stored).unwrap();
        assert!(identity.is_alive());

        let later = ProcessIdentity {
            started: identity.started + 1,
            ..identity.clone()
        };
        let rebooted = ProcessIdentity {
            boot: "another".to_owned(),
            ..identity.clone()
        };
        for other in [later, rebooted] {
            assert!(!other.is_alive(), "{other:?}");
            // Neither signal may reach the process that now has the number.
            other.kill().unwrap();
            drop(other.terminate());
            other.ended().await;
        }
        assert!(identity.is_alive());
        child.kill();
        assert!(!identity.is_alive());
        assert_eq!(ProcessIdentity::of(identity.pid).unwrap(), None);
        identity.kill().unwrap();
    }

    #[test]
    fn current_process_is_alive_and_stable() {
        let first = ProcessIdentity::current().unwrap();
        assert_eq!(first, ProcessIdentity::current().unwrap());
        assert!(first.is_alive());
        assert_eq!(first.pid, std::process::id());
    }

    #[tokio::test]
    async fn end_of_a_process_that_is_no_child_is_seen() {
        // The child starts a detached grandchild, says its number, and ends.
        let mut child = testing::Child::start("start-detached", &[]);
        let pid: u32 = child.wait_for("started ").parse().unwrap();
        child.wait_for_end();
        let grandchild = ProcessIdentity::of(pid).unwrap().unwrap();
        assert!(
            tokio::time::timeout(Duration::from_millis(100), grandchild.ended())
                .await
                .is_err()
        );
        assert!(grandchild.is_alive());
        grandchild.kill().unwrap();
        tokio::time::timeout(Duration::from_secs(20), grandchild.ended())
            .await
            .unwrap();
        assert!(!grandchild.is_alive());
    }
}
