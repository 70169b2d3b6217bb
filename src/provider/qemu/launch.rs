//! Starts QEMU, or takes over one that runs.

use std::path::Path;
use std::process::Command;

use fs_err as fs;
use machine_host::companion;
use machine_host::facts::Architecture;
use machine_host::process::ProcessIdentity;

use crate::machine::deadlines;
use crate::provider::process::{NewProcess, open_log};
use crate::provider::qemu::argv::{self, Surroundings, VsockArguments};
use crate::provider::qemu::helper::{Helper, Released};
use crate::provider::qemu::locate;
use crate::provider::qemu::qmp::{self, Connection, Qmp};
use crate::provider::qemu::vm::{Parts, QemuVm};
use crate::provider::qemu::vsock::{self, Prepared};
use crate::provider::qemu::{exit, inherited, platform, shares};
use crate::provider::{
    HelperProcess, HelperRole, LaunchPlan, NetworkJoint, ProviderError, Resolved, VmEvent,
    VmEvents, VmPaths, VsockDevice, VsockWay,
};

/// Starts QEMU by the plan.
pub(super) async fn launch(
    plan: &LaunchPlan,
    resolved: &Resolved,
    architecture: Architecture,
    events: VmEvents,
) -> Result<QemuVm, ProviderError> {
    let paths = &plan.paths;
    // The sockets listen before QEMU is there, so a client never comes too early.
    let mut inherited = vec![listen(&paths.control_socket)?, listen(&paths.link_socket)?];
    let network_fd = prepare_network(plan, &mut inherited).await?;
    let (vsock, helper) = prepare_vsock(plan, resolved, &events, &mut inherited).await;
    let shared = shares::prepare(plan, resolved, &events, &mut inherited).await;
    let (log, log_start) = open_log(&paths.vm_log)?;
    let surroundings = Surroundings {
        architecture,
        accelerator: resolved.accelerator,
        emulation: locate::emulation(&resolved.version),
        firmware: resolved.firmware.as_deref(),
        control_fd: platform::FIRST_FD,
        link_fd: platform::FIRST_FD + 1,
        vsock,
        network_fd,
        shares: &shared.arguments,
        sandbox: platform::SANDBOX,
    };
    let mut process = spawn(plan, &resolved.program, &surroundings, inherited, log)?;
    let failed = |status| {
        let reason = exit::reason(status, None, &paths.vm_log, log_start);
        exit::early(&resolved.program, plan, reason)
    };
    let Some(identity) = process.identity.clone() else {
        return Err(failed(process.wait()));
    };

    let opened = tokio::select! {
        opened = open_monitor(&paths.control_socket) => opened,
        () = identity.ended() => return Err(failed(process.wait())),
    };
    let (qmp, connection) = match opened {
        Ok(opened) => opened,
        Err(error @ ProviderError::Monitor { .. }) => {
            // The monitor of a process that ends closes a moment before it has ended.
            let ended = tokio::time::timeout(deadlines::KILLED.limit, identity.ended()).await;
            return Err(if ended.is_ok() {
                failed(process.wait())
            } else {
                error
            });
        }
        Err(error) => return Err(error),
    };
    let parts = Parts {
        identity,
        child: process.release(),
        paths: paths.clone(),
        log_start,
        vsock: vsock.map(|vsock| vsock.device),
        helpers: helper
            .and_then(|helper| helper.release(HelperRole::Vsock))
            .into_iter()
            .chain(shared.release())
            .collect(),
    };
    Ok(QemuVm::new(parts, qmp, connection, events))
}

/// The vsock device's arguments and, where a program is the device, that program. What QEMU inherits for it is added to
/// `inherited`. Without the device the machine runs over its other carrier.
async fn prepare_vsock(
    plan: &LaunchPlan,
    resolved: &Resolved,
    events: &VmEvents,
    inherited: &mut Vec<platform::Inherited>,
) -> (Option<VsockArguments>, Option<Helper>) {
    let Some(way) = &resolved.vsock else {
        return (None, None);
    };
    let (device, helper, descriptor) = match vsock::prepare(way, &plan.paths).await {
        Ok(Prepared::Kernel { cid, descriptor }) => (VsockDevice::Kernel { cid }, None, descriptor),
        Ok(Prepared::Program { helper, connection }) => {
            (VsockDevice::Program, Some(helper), connection)
        }
        Err(error) => {
            let what = match way {
                VsockWay::Kernel => "the kernel's vsock device".to_owned(),
                VsockWay::Program(program) => format!("`{}`", program.display()),
                VsockWay::BuiltIn => "a vsock device of QEMU's own".to_owned(),
            };
            let warning = format!(
                "{what} cannot be used, so the machine goes without vsock, over virtio-serial: {error}"
            );
            // The owner may be on its way out.
            let _ = events.send(VmEvent::Warning(warning));
            return (None, None);
        }
    };
    let fd = inherited::number(inherited);
    inherited.push(descriptor);
    (Some(VsockArguments { device, fd }), helper)
}

/// QEMU's end of the network, where a program carries its packets.
async fn prepare_network(
    plan: &LaunchPlan,
    inherited: &mut Vec<platform::Inherited>,
) -> Result<Option<i32>, ProviderError> {
    let socket = &plan.paths.network_socket;
    let end = match plan.network {
        NetworkJoint::BuiltIn { .. } => return Ok(None),
        NetworkJoint::Listens => listen(socket)?,
        NetworkJoint::Connects => connect_network(plan).await?,
    };
    let fd = inherited::number(inherited);
    inherited.push(end);
    Ok(Some(fd))
}

async fn connect_network(plan: &LaunchPlan) -> Result<platform::Inherited, ProviderError> {
    let path = &plan.paths.network_socket;
    let limit = deadlines::NETWORK_PROGRAM.limit;
    let connection = companion::connect_when_listening(path, limit)
        .await
        .map_err(|source| ProviderError::NetworkSilent {
            machine: plan.name.clone(),
            path: path.clone(),
            source,
        })?;
    Ok(platform::inherit_connection(connection))
}

/// Takes over a running QEMU.
pub(super) async fn attach(
    paths: &VmPaths,
    identity: &ProcessIdentity,
    helpers: &[HelperProcess],
    events: VmEvents,
) -> Result<QemuVm, ProviderError> {
    let gone = || ProviderError::Gone { pid: identity.pid };
    if !identity.is_alive() {
        return Err(gone());
    }
    let opened = open_monitor(&paths.control_socket).await;
    let (qmp, connection) = match opened {
        Ok(opened) => opened,
        Err(_) if !identity.is_alive() => return Err(gone()),
        Err(error) => return Err(error),
    };
    let parts = Parts {
        identity: identity.clone(),
        child: None,
        paths: paths.clone(),
        log_start: 0,
        vsock: None,
        helpers: helpers.iter().map(Released::found).collect(),
    };
    Ok(QemuVm::new(parts, qmp, connection, events))
}

fn listen(path: &Path) -> Result<platform::Inherited, ProviderError> {
    platform::listen(path).map_err(|source| ProviderError::Socket {
        path: path.to_owned(),
        source,
    })
}

async fn open_monitor(path: &Path) -> Result<(Qmp, Connection<platform::Stream>), ProviderError> {
    let opened = async { qmp::open(platform::connect(path).await?).await };
    let limit = deadlines::VM_SPAWN.limit;
    match tokio::time::timeout(limit, opened).await {
        Ok(opened) => opened.map_err(|source| ProviderError::Monitor { source }),
        Err(_) => Err(ProviderError::MonitorSilent {
            path: path.to_owned(),
            seconds: limit.as_secs(),
        }),
    }
}

fn spawn(
    plan: &LaunchPlan,
    program: &Path,
    surroundings: &Surroundings<'_>,
    inherited: Vec<platform::Inherited>,
    log: fs::File,
) -> Result<NewProcess, ProviderError> {
    let mut command = Command::new(program);
    command.args(argv::arguments(plan, surroundings));
    platform::inherit(&mut command, inherited).map_err(|source| ProviderError::Spawn {
        program: program.to_owned(),
        source,
    })?;
    NewProcess::start(command, log, &plan.paths.launch_note)
}
