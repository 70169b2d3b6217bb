//! A program beside QEMU: in a session of its own, with its words in a file. It ends with this value unless it is
//! released, and once released it lives as long as its VM.

use std::io;
use std::path::Path;
use std::process::{Child, Command};

use machine_host::process::{ProcessIdentity, spawn_detached};

use crate::machine::deadlines;
use crate::provider::{HelperProcess, HelperRole};

/// A program of a VM that is being made.
#[derive(Debug)]
pub(super) struct Helper {
    identity: ProcessIdentity,
    child: Option<Child>,
}

impl Helper {
    /// Starts it; what it says is appended to `log`.
    pub(super) fn start(mut command: Command, log: &Path) -> io::Result<Self> {
        let log = fs_err::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)?
            .into_file();
        command.stdout(log.try_clone()?).stderr(log);
        let mut child = spawn_detached(&mut command)?;
        match ProcessIdentity::of(child.id()) {
            Ok(Some(identity)) => Ok(Self {
                identity,
                child: Some(child),
            }),
            Ok(None) => {
                let status = child.wait()?;
                Err(io::Error::other(format!("It ended at once: {status}")))
            }
            Err(error) => {
                child.kill()?;
                child.wait()?;
                Err(error)
            }
        }
    }

    /// Ready when it has ended.
    pub(super) async fn ended(&self) {
        self.identity.ended().await;
    }

    /// Lets it live on.
    pub(super) fn release(mut self, role: HelperRole) -> Released {
        Released {
            process: HelperProcess {
                process: self.identity.clone(),
                role,
            },
            child: self.child.take(),
        }
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child
            && let Err(error) = child.kill().and_then(|()| child.wait())
        {
            tracing::warn!(%error, "A program beside a virtual machine could not be ended");
        }
    }
}

/// A program that lives as long as its VM.
#[derive(Debug)]
pub(super) struct Released {
    /// The process, and what it is for.
    pub(super) process: HelperProcess,
    /// The same, where it is a child of this process.
    pub(super) child: Option<Child>,
}

impl Released {
    /// Ends it.
    pub(super) async fn end(&mut self) {
        let identity = &self.process.process;
        if let Err(error) = identity.kill() {
            tracing::warn!(%error, "A program beside a virtual machine could not be ended");
            return;
        }
        let ended = tokio::time::timeout(deadlines::KILLED.limit, identity.ended());
        if ended.await.is_ok() {
            self.reap();
        }
    }

    /// Takes note of its end, which must have come.
    pub(super) fn reap(&mut self) {
        // It has ended, so this does not wait.
        if let Some(Err(error)) = self.child.take().map(|mut child| child.wait()) {
            tracing::debug!(%error, "A program that has ended could not be waited for");
        }
    }
}
