//! A distribution that runs.

use std::path::PathBuf;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use machine_host::process::ProcessIdentity;
use tokio::task::JoinHandle;

use super::argv;
use super::error::WslError;
use super::run::Wsl;
use crate::link::CarrierProgram;
use crate::provider::process::exit_reason;
use crate::provider::{
    ExitReason, HelperProcess, LinkStream, Progress, ProviderError, Vm, VmEvent, VmEvents,
    VsockDevice,
};

/// The handle of a distribution, by the process that keeps it alive.
#[derive(Debug)]
pub(super) struct WslVm {
    wsl: Wsl,
    distro: String,
    identity: ProcessIdentity,
    /// Whether it was ended by this handle.
    ended: Arc<AtomicBool>,
    watch: JoinHandle<()>,
}

/// What a [`WslVm`] is made of.
#[derive(Debug)]
pub(super) struct Parts {
    /// Who is asked.
    pub(super) wsl: Wsl,
    /// The distribution.
    pub(super) distro: String,
    /// The process that keeps it alive.
    pub(super) identity: ProcessIdentity,
    /// The same, where it is a child of this process.
    pub(super) child: Option<Child>,
    /// What it prints.
    pub(super) log: PathBuf,
    /// Where its part of that begins.
    pub(super) log_start: u64,
}

impl WslVm {
    /// Begins to watch the process.
    pub(super) fn new(parts: Parts, events: VmEvents) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        Self {
            wsl: parts.wsl.clone(),
            distro: parts.distro.clone(),
            identity: parts.identity.clone(),
            ended: Arc::clone(&ended),
            watch: tokio::spawn(watch(parts, ended, events)),
        }
    }

    /// What was asked of a distribution that may have ended, which is a success.
    fn unless_gone(&self, done: Result<(), WslError>) -> Result<(), ProviderError> {
        match done {
            Err(error) if self.identity.is_alive() => Err(error.into()),
            _ => Ok(()),
        }
    }
}

impl Drop for WslVm {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

#[async_trait]
impl Vm for WslVm {
    fn identity(&self) -> &ProcessIdentity {
        &self.identity
    }

    fn helpers(&self) -> Vec<HelperProcess> {
        Vec::new()
    }

    fn vsock(&self) -> Option<VsockDevice> {
        None
    }

    fn carrier_program(&self) -> Option<CarrierProgram> {
        Some(self.wsl.carrier(&argv::bridge(&self.distro)))
    }

    async fn connect_link(&self) -> std::io::Result<LinkStream> {
        Err(std::io::Error::new(
            std::io::ErrorKind::Unsupported,
            "A program carries the link; there is no carrier that the host dials",
        ))
    }

    async fn power_down(&self) -> Result<(), ProviderError> {
        if !self.identity.is_alive() {
            return Ok(());
        }
        self.unless_gone(self.wsl.power_off(&self.distro).await)
    }

    async fn quit(&self) -> Result<(), ProviderError> {
        self.ended.store(true, Ordering::Relaxed);
        self.unless_gone(self.wsl.terminate(&self.distro).await)
    }

    async fn kill(&self) -> Result<(), ProviderError> {
        // The watch ends what the process kept alive.
        self.identity.kill().map_err(|source| ProviderError::Kill {
            pid: self.identity.pid,
            source,
        })
    }

    async fn resume(&self) -> Result<(), ProviderError> {
        Ok(())
    }

    async fn progress(&self) -> Result<Progress, ProviderError> {
        Ok(Progress::default())
    }
}

/// Reports the end, after which nothing of the distribution runs.
async fn watch(parts: Parts, ended: Arc<AtomicBool>, events: VmEvents) {
    parts.identity.ended().await;
    // It has ended, so this does not wait.
    let status = parts.child.and_then(|mut child| child.wait().ok());
    // The bridge, or a shell of the user's, keeps it alive as well.
    match parts.wsl.is_running(&parts.distro).await {
        Ok(false) => {}
        Ok(true) | Err(_) => {
            if let Err(error) = parts.wsl.terminate(&parts.distro).await {
                tracing::warn!(%error, "A distribution may run on without its machine");
            }
        }
    }
    let reason = exit_reason(status, &parts.log, parts.log_start);
    let reason = judged(reason, ended.load(Ordering::Relaxed));
    drop(events.send(VmEvent::Exited(reason)));
}

/// Whether the end was somebody's wish. The keeper says so where the guest powers itself off; a distribution that was
/// ended says nothing, and its keeper's exit code means nothing.
fn judged(mut reason: ExitReason, ended: bool) -> ExitReason {
    let last = reason.last_lines.last().map(String::as_str);
    if last == Some(argv::FAREWELL) {
        reason.shutdown = Some("the guest powered off".to_owned());
    } else if ended {
        reason.shutdown = Some("terminated".to_owned());
    } else {
        return reason;
    }
    reason.wished = true;
    reason.code = None;
    reason
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_at_will_is_told_from_a_crash() {
        let of = |last: &str| ExitReason {
            code: Some(1),
            last_lines: vec!["a warning".to_owned(), last.to_owned()],
            ..ExitReason::default()
        };
        assert!(judged(of(argv::FAREWELL), false).is_orderly());
        assert!(judged(of(""), true).is_orderly());
        assert!(!judged(of(""), false).is_orderly());
        let killed = ExitReason {
            signal: Some(9),
            ..of("")
        };
        assert!(!judged(killed, true).is_orderly());
    }
}
