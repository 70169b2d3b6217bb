//! A running vfkit or krunkit.

use std::path::Path;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use fs_err as fs;
use machine_host::process::ProcessIdentity;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use crate::machine::deadlines;
use crate::provider::apple::flavour::Flavour;
use crate::provider::apple::rest::client::Client;
use crate::provider::apple::rest::{State, Wish};
use crate::provider::process::exit_reason;
use crate::provider::{
    ExitReason, HelperProcess, LinkStream, PauseReason, Progress, ProviderError, Vm, VmEvent,
    VmEvents, VmPaths, VsockDevice,
};

/// The handle of a VM, by its REST service and its identity.
#[derive(Debug)]
pub(super) struct AppleVm {
    flavour: &'static Flavour,
    identity: ProcessIdentity,
    paths: VmPaths,
    launched: bool,
    rest: Client,
    events: VmEvents,
    paused: Arc<AtomicBool>,
    watch: JoinHandle<()>,
}

/// What an [`AppleVm`] is made of.
#[derive(Debug)]
pub(super) struct Parts {
    /// Which program.
    pub(super) flavour: &'static Flavour,
    /// The process.
    pub(super) identity: ProcessIdentity,
    /// The same, where it is a child of this process.
    pub(super) child: Option<Child>,
    /// How the VM is reached.
    pub(super) paths: VmPaths,
    /// Where its part of the log begins.
    pub(super) log_start: u64,
    /// Whether this process launched it.
    pub(super) launched: bool,
}

impl AppleVm {
    /// Begins to watch the process, which is in this state.
    pub(super) fn new(parts: Parts, state: Option<&State>, events: VmEvents) -> Self {
        let paused = Arc::new(AtomicBool::new(false));
        if let Some(state) = state {
            drop(change(&paused, state).map(|event| events.send(event)));
        }
        let looked = Arc::clone(&paused);
        Self {
            flavour: parts.flavour,
            identity: parts.identity.clone(),
            paths: parts.paths.clone(),
            launched: parts.launched,
            rest: Client::new(&parts.paths.control_socket),
            events: events.clone(),
            paused,
            watch: tokio::spawn(watch(parts, looked, events)),
        }
    }

    /// A request to a VM that may have ended, which is a success.
    async fn ask(&self, wish: Wish) -> Result<(), ProviderError> {
        match self.rest.wish(wish).await {
            Err(_) if !self.identity.is_alive() => Ok(()),
            Err(error @ ProviderError::Monitor { .. }) => {
                // The service closes a moment before the process ends.
                let ended = tokio::time::timeout(deadlines::QUIT.limit, self.identity.ended());
                ended.await.map_err(|_| error)
            }
            done => done,
        }
    }

    fn failed(&self, source: std::io::Error) -> ProviderError {
        ProviderError::Kill {
            pid: self.identity.pid,
            source,
        }
    }
}

impl Drop for AppleVm {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

#[async_trait]
impl Vm for AppleVm {
    fn identity(&self) -> &ProcessIdentity {
        &self.identity
    }

    fn helpers(&self) -> Vec<HelperProcess> {
        Vec::new()
    }

    fn vsock(&self) -> Option<VsockDevice> {
        self.launched.then_some(VsockDevice::Program)
    }

    async fn connect_link(&self) -> std::io::Result<LinkStream> {
        Err(std::io::Error::new(
            std::io::ErrorKind::Unsupported,
            "The guest dials; there is no carrier that the host dials",
        ))
    }

    async fn power_down(&self) -> Result<(), ProviderError> {
        match self.ask(Wish::Stop).await {
            // It says no to one that is on its way down, or stands still and hears nothing.
            Err(ProviderError::Refused { .. }) => Ok(()),
            done => done,
        }
    }

    async fn quit(&self) -> Result<(), ProviderError> {
        if !self.flavour.has_hard_stop {
            // Its REST service has one wish alone, to ask the guest.
            return self
                .identity
                .terminate()
                .map_err(|error| self.failed(error));
        }
        match self.ask(Wish::HardStop).await {
            // It says no to one that is on its way down.
            Err(ProviderError::Refused { .. }) if self.goes_down().await => Ok(()),
            done => done,
        }
    }

    async fn kill(&self) -> Result<(), ProviderError> {
        self.identity.kill().map_err(|error| self.failed(error))
    }

    async fn resume(&self) -> Result<(), ProviderError> {
        if !self.flavour.can_pause {
            return Ok(());
        }
        match self.ask(Wish::Resume).await {
            Ok(()) => {
                let event = change(&self.paused, &State::Running);
                drop(event.map(|event| self.events.send(event)));
                Ok(())
            }
            // It says no to one that does not stand still.
            Err(ProviderError::Refused { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn progress(&self) -> Result<Progress, ProviderError> {
        Ok(Progress {
            console_bytes: fs::metadata(&self.paths.console_log).map_or(0, |file| file.len()),
            ..Progress::default()
        })
    }
}

impl AppleVm {
    async fn goes_down(&self) -> bool {
        let state = self.rest.state().await;
        !self.identity.is_alive() || matches!(state, Ok(State::Stopping | State::Stopped))
    }
}

/// What is to be told of a VM that was paused or not, and is in this state. One that is on its way down tells it itself.
fn change(paused: &AtomicBool, state: &State) -> Option<VmEvent> {
    let (now, event) = match state {
        State::Paused => {
            let reason = PauseReason::Requested;
            (true, VmEvent::Paused { reason })
        }
        State::Running => (false, VmEvent::Resumed),
        _ => return None,
    };
    (paused.swap(now, Ordering::Relaxed) != now).then_some(event)
}

/// The service tells nobody of anything, so it is asked from time to time whether the VM stands still.
async fn look(rest: &Client, paused: &AtomicBool, events: &VmEvents) {
    let mut tick = tokio::time::interval(deadlines::PAUSE_LOOK.limit);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first one is at once.
    tick.tick().await;
    loop {
        tick.tick().await;
        // A service that does not answer now is asked again.
        let state = rest.state().await.ok();
        let event = state.and_then(|state| change(paused, &state));
        drop(event.map(|event| events.send(event)));
    }
}

/// Reports pauses and the end.
async fn watch(parts: Parts, paused: Arc<AtomicBool>, events: VmEvents) {
    let rest = Client::new(&parts.paths.control_socket);
    tokio::select! {
        () = parts.identity.ended() => {}
        () = look(&rest, &paused, &events), if parts.flavour.can_pause => {}
    }
    // It has ended, so this does not wait.
    let status = parts.child.and_then(|mut child| child.wait().ok());
    let reason = exit_reason(status, &parts.paths.vm_log, parts.log_start);
    sweep(&parts.paths);
    drop(events.send(VmEvent::Exited(judged(parts.flavour, reason))));
}

/// Whether the end was somebody's wish. vfkit says so last; krunkit says nothing, and its exit code is all there is.
fn judged(flavour: &Flavour, mut reason: ExitReason) -> ExitReason {
    reason.wished = match flavour.farewell {
        Some(farewell) => reason
            .last_lines
            .last()
            .is_some_and(|line| line.contains(farewell)),
        None => reason.code == Some(0),
    };
    if reason.wished {
        reason.shutdown = Some("stopped".to_owned());
    }
    reason
}

/// Removes the sockets of the programs' own beside that of the network, which a program that did not end in good order
/// leaves: vfkit's is `vfkit-PID-RANDOM.sock`, libkrun's has `-krun.sock` behind the name of the other end.
pub(super) fn sweep(paths: &VmPaths) {
    let Some(directory) = paths.network_socket.parent() else {
        return;
    };
    let other = paths.network_socket.file_name().unwrap_or_default();
    let other = other.to_string_lossy();
    let is_left = |name: &str| {
        let vfkit = name.starts_with("vfkit-");
        (vfkit && is_socket_name(name)) || name.strip_prefix(&*other) == Some("-krun.sock")
    };
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    for entry in entries {
        if entry.file_name().to_str().is_some_and(is_left)
            && let Err(error) = fs::remove_file(entry.path())
        {
            tracing::warn!(%error, "A socket stays behind");
        }
    }
}

fn is_socket_name(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|end| end == "sock")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::apple::flavour::{KRUNKIT, VFKIT};
    use crate::provider::plan::testing;

    fn ended(code: Option<i32>, last: &str) -> ExitReason {
        ExitReason {
            code,
            last_lines: vec!["virtual machine is running".to_owned(), last.to_owned()],
            ..ExitReason::default()
        }
    }

    #[test]
    fn an_end_at_will_is_told_from_a_crash() {
        let farewell = r#"time="2026-01-01T00:00:00Z" level=info msg="VM is stopped""#;
        let orderly = |flavour, code, last| judged(flavour, ended(code, last)).is_orderly();
        assert!(orderly(&VFKIT, Some(0), farewell));
        // One that was taken over has no exit code.
        assert!(orderly(&VFKIT, None, farewell));
        assert!(!orderly(&VFKIT, None, "waiting for VM to stop"));
        assert!(!orderly(&VFKIT, Some(1), farewell));
        assert!(orderly(&KRUNKIT, Some(0), ""));
        assert!(!orderly(&KRUNKIT, None, ""));
        assert!(!orderly(&KRUNKIT, Some(1), ""));
    }

    #[test]
    fn a_pause_and_its_end_are_told_once() {
        let paused = AtomicBool::new(false);
        let reason = PauseReason::Requested;
        assert_eq!(change(&paused, &State::Running), None);
        let told = Some(VmEvent::Paused { reason });
        assert_eq!(change(&paused, &State::Paused), told);
        for state in [State::Paused, State::Starting, State::Stopping] {
            assert_eq!(change(&paused, &state), None, "{state:?}");
        }
        assert_eq!(change(&paused, &State::Running), Some(VmEvent::Resumed));
        assert_eq!(change(&paused, &State::Running), None);
    }

    #[test]
    fn only_what_the_programs_leave_is_swept() {
        let home = tempfile::tempdir().unwrap();
        let paths = testing::plan(home.path()).paths;
        let left = ["vfkit-1a2b-9f.sock", "network.sock-krun.sock"];
        let kept = ["network.sock", "vfkit-notes", "podman.sock", "x-krun.sock"];
        for name in left.iter().chain(&kept) {
            fs::write(home.path().join(name), "").unwrap();
        }
        sweep(&paths);
        assert!(left.iter().all(|name| !home.path().join(name).exists()));
        assert!(kept.iter().all(|name| home.path().join(name).exists()));
    }
}
