//! Starts vfkit or krunkit, or takes over one that runs.

use std::path::Path;
use std::process::Command;

use fs_err as fs;
use machine_host::companion;
use machine_host::process::ProcessIdentity;

use crate::machine::deadlines;
use crate::provider::apple::argv::{self, Surroundings};
use crate::provider::apple::flavour::Flavour;
use crate::provider::apple::rest::State;
use crate::provider::apple::rest::client::Client;
use crate::provider::apple::vm::{AppleVm, Parts};
use crate::provider::apple::{speakable, vm};
use crate::provider::process::{NewProcess, exit_reason, open_log};
use crate::provider::version::parse;
use crate::provider::{
    LaunchPlan, NetworkJoint, ProviderError, Resolved, SharePlan, VmEvent, VmEvents, VmPaths,
};

/// Starts the program by the plan.
pub(super) async fn launch(
    flavour: &'static Flavour,
    plan: &LaunchPlan,
    resolved: &Resolved,
    events: VmEvents,
) -> Result<AppleVm, ProviderError> {
    let paths = &plan.paths;
    speakable::check(flavour, plan)?;
    // vfkit does not listen where a socket of before is.
    remove(&paths.control_socket)?;
    vm::sweep(paths);
    if plan.network == NetworkJoint::Connects {
        wait_for_network(plan).await?;
    }
    let shares = speakable_shares(flavour, plan, &events);
    let (log, log_start) = open_log(&paths.vm_log)?;
    let surroundings = Surroundings {
        flavour,
        balloon: has_balloon(flavour, &resolved.version),
        shares: &shares,
    };
    let mut command = Command::new(&resolved.program);
    command.args(argv::arguments(plan, &surroundings));
    let sweep = Sweep(Some(paths));
    let mut process = NewProcess::start(command, log, &paths.launch_note)?;
    let failed = |status| ProviderError::EndedAtOnce {
        program: resolved.program.clone(),
        reason: exit_reason(status, &paths.vm_log, log_start),
    };
    let Some(identity) = process.identity.clone() else {
        return Err(failed(process.wait()));
    };
    let opened = tokio::select! {
        opened = wait_for_service(&paths.control_socket) => opened,
        () = identity.ended() => return Err(failed(process.wait())),
    };
    if let Err(error) = opened {
        // The service of a program that ends closes a moment before it has ended.
        let unreachable = matches!(error, ProviderError::Monitor { .. });
        let limit = deadlines::KILLED.limit;
        if unreachable && tokio::time::timeout(limit, identity.ended()).await.is_ok() {
            return Err(failed(process.wait()));
        }
        return Err(error);
    }
    sweep.disarm();
    let parts = Parts {
        flavour,
        identity,
        child: process.release(),
        paths: paths.clone(),
        log_start,
        launched: true,
    };
    Ok(AppleVm::new(parts, None, events))
}

/// Removes with this value what a program leaves that was ended.
struct Sweep<'a>(Option<&'a VmPaths>);

impl Sweep<'_> {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for Sweep<'_> {
    fn drop(&mut self) {
        if let Some(paths) = self.0 {
            vm::sweep(paths);
        }
    }
}

/// Takes over a VM that runs.
pub(super) async fn attach(
    flavour: &'static Flavour,
    paths: &VmPaths,
    identity: &ProcessIdentity,
    events: VmEvents,
) -> Result<AppleVm, ProviderError> {
    let gone = || ProviderError::Gone { pid: identity.pid };
    if !identity.is_alive() {
        return Err(gone());
    }
    let state = match Client::new(&paths.control_socket).state().await {
        Ok(state) => state,
        Err(_) if !identity.is_alive() => return Err(gone()),
        Err(error) => return Err(error),
    };
    let parts = Parts {
        flavour,
        identity: identity.clone(),
        child: None,
        paths: paths.clone(),
        log_start: 0,
        launched: false,
    };
    Ok(AppleVm::new(parts, Some(&state), events))
}

fn has_balloon(flavour: &Flavour, version: &str) -> bool {
    let found = parse(version);
    flavour
        .balloon_since
        .is_some_and(|since| found.is_some_and(|found| found >= since))
}

/// The folders that the program can be told of; the loss of each other one is reported.
fn speakable_shares<'a>(
    flavour: &Flavour,
    plan: &'a LaunchPlan,
    events: &VmEvents,
) -> Vec<&'a SharePlan> {
    let can_be_told = |share: &&SharePlan| {
        let Some(why) = speakable::obstacle(&share.source, flavour.unspeakable) else {
            return true;
        };
        // The owner may be on its way out.
        let _ = events.send(VmEvent::ShareLost {
            target: share.target.clone(),
            reason: format!(
                "`{}` cannot be shared: `{}` cannot be told of its path, for {why}",
                share.source.display(),
                flavour.program
            ),
        });
        false
    };
    plan.shares.iter().filter(can_be_told).collect()
}

fn remove(socket: &Path) -> Result<(), ProviderError> {
    match fs::remove_file(socket) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(ProviderError::Socket {
                path: socket.to_owned(),
                source,
            })
        }
        _ => Ok(()),
    }
}

/// The program dials its guest's network once, at its start, and ends where nobody listens.
async fn wait_for_network(plan: &LaunchPlan) -> Result<(), ProviderError> {
    let path = &plan.paths.network_socket;
    let limit = deadlines::NETWORK_PROGRAM.limit;
    let listens = companion::wait_for_datagrams(path, limit).await;
    listens.map_err(|source| ProviderError::NetworkSilent {
        machine: plan.name.clone(),
        path: path.clone(),
        source,
    })
}

/// Ready when the service answers that the VM is on its way.
async fn wait_for_service(socket: &Path) -> Result<(), ProviderError> {
    let limit = deadlines::VM_SPAWN.limit;
    let listens = companion::connect_when_listening(socket, limit).await;
    listens.map_err(|source| match source.kind() {
        std::io::ErrorKind::TimedOut => ProviderError::MonitorSilent {
            path: socket.to_owned(),
            seconds: limit.as_secs(),
        },
        _ => ProviderError::Monitor { source },
    })?;
    match Client::new(socket).state().await? {
        State::Starting | State::Running | State::Paused => Ok(()),
        state => Err(ProviderError::Refused {
            command: "start",
            description: format!("its state is {state:?}"),
        }),
    }
}
