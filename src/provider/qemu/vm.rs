//! A running QEMU.

use std::path::Path;
use std::process::Child;

use async_trait::async_trait;
use machine_host::process::ProcessIdentity;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

use crate::machine::deadlines;
use crate::provider::qemu::events::Translator;
use crate::provider::qemu::helper::Released;
use crate::provider::qemu::qmp::{Connection, Qmp, RawEvent};
use crate::provider::qemu::{exit, platform};
use crate::provider::{
    HelperProcess, HelperRole, LinkStream, Progress, ProviderError, Vm, VmEvent, VmEvents, VmPaths,
    VsockDevice,
};

/// Processes that end within this time have one cause.
const TOGETHER: std::time::Duration = std::time::Duration::from_secs(1);

/// The handle of a QEMU process, by its monitor and its identity.
#[derive(Debug)]
pub(super) struct QemuVm {
    identity: ProcessIdentity,
    helpers: Vec<HelperProcess>,
    vsock: Option<VsockDevice>,
    paths: VmPaths,
    qmp: std::sync::Arc<Qmp>,
    watch: JoinHandle<()>,
}

/// What a [`QemuVm`] is made of.
#[derive(Debug)]
pub(super) struct Parts {
    /// The process.
    pub(super) identity: ProcessIdentity,
    /// The same, where it is a child of this process.
    pub(super) child: Option<Child>,
    /// How the VM is reached.
    pub(super) paths: VmPaths,
    /// Where its part of the log begins.
    pub(super) log_start: u64,
    /// The guest's vsock device.
    pub(super) vsock: Option<VsockDevice>,
    /// The programs that belong to the VM.
    pub(super) helpers: Vec<Released>,
}

impl QemuVm {
    /// Begins to watch the process and its monitor.
    pub(super) fn new(
        parts: Parts,
        qmp: Qmp,
        connection: Connection<platform::Stream>,
        events: VmEvents,
    ) -> Self {
        let qmp = std::sync::Arc::new(qmp);
        let identity = parts.identity.clone();
        let paths = parts.paths.clone();
        let vsock = parts.vsock;
        let helpers = parts.helpers.iter();
        let helpers = helpers.map(Released::process).collect();
        let watch = tokio::spawn(watch(parts, qmp.clone(), connection, events));
        Self {
            identity,
            helpers,
            vsock,
            paths,
            qmp,
            watch,
        }
    }

    /// Has the monitor do something.
    pub(super) async fn execute<C: qapi::Command>(
        &self,
        command: C,
    ) -> Result<Value, ProviderError> {
        self.qmp.execute(command).await
    }

    /// A request that is fulfilled by the end of the VM.
    async fn end<C: qapi::Command>(&self, command: C) -> Result<(), ProviderError> {
        match self.execute(command).await {
            Ok(_) => Ok(()),
            Err(error @ ProviderError::Monitor { .. }) => {
                // QEMU closes the monitor a moment before it ends.
                let ended = tokio::time::timeout(deadlines::QUIT.limit, self.identity.ended());
                ended.await.map_err(|_| error)
            }
            Err(error) => Err(error),
        }
    }
}

impl Drop for QemuVm {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

#[async_trait]
impl Vm for QemuVm {
    fn identity(&self) -> &ProcessIdentity {
        &self.identity
    }

    fn helpers(&self) -> Vec<HelperProcess> {
        self.helpers.clone()
    }

    fn vsock(&self) -> Option<VsockDevice> {
        self.vsock
    }

    async fn connect_link(&self) -> std::io::Result<LinkStream> {
        Ok(Box::new(platform::connect(&self.paths.link_socket).await?))
    }

    async fn power_down(&self) -> Result<(), ProviderError> {
        self.end(qapi::qmp::system_powerdown {}).await
    }

    async fn quit(&self) -> Result<(), ProviderError> {
        self.end(qapi::qmp::quit {}).await
    }

    async fn kill(&self) -> Result<(), ProviderError> {
        // Whoever kills a VM may not wait to see it end, which is when the others are ended.
        for helper in &self.helpers {
            if let Err(error) = helper.process.kill() {
                tracing::warn!(%error, "A program beside the virtual machine could not be ended");
            }
        }
        self.identity.kill().map_err(|source| ProviderError::Kill {
            pid: self.identity.pid,
            source,
        })
    }

    async fn resume(&self) -> Result<(), ProviderError> {
        self.end(qapi::qmp::cont {}).await
    }

    async fn progress(&self) -> Result<Progress, ProviderError> {
        let disks = self
            .execute(qapi::qmp::query_blockstats { query_nodes: None })
            .await?;
        let sum = |key: &str| {
            let values = disks.as_array().into_iter().flatten();
            values.filter_map(|disk| disk["stats"][key].as_u64()).sum()
        };
        Ok(Progress {
            read_bytes: sum("rd_bytes"),
            written_bytes: sum("wr_bytes"),
            console_bytes: fs_err::metadata(&self.paths.console_log).map_or(0, |file| file.len()),
        })
    }
}

/// Says of each program when it ends that the VM goes on without it. Never ready.
async fn watch_helpers(vm: &ProcessIdentity, helpers: &mut [Released], events: &VmEvents) {
    let mut ends = JoinSet::new();
    for (number, helper) in helpers.iter().enumerate() {
        let process = helper.process().process;
        ends.spawn(async move {
            process.ended().await;
            number
        });
    }
    while let Some(ended) = ends.join_next().await {
        let Some(helper) = ended.ok().and_then(|number| helpers.get_mut(number)) else {
            continue;
        };
        helper.ended().await;
        // Whatever ended the VM may have ended this one a moment before.
        let together = tokio::time::timeout(TOGETHER, vm.ended()).await;
        if together.is_err() {
            drop(events.send(loss(&helper.role)));
        }
    }
    std::future::pending::<()>().await;
}

/// What the end of a program means.
fn loss(role: &HelperRole) -> VmEvent {
    match role {
        HelperRole::Vsock => VmEvent::Warning(
            "the program that is the machine's vsock device has ended; the machine goes on over virtio-serial, and has \
             vsock again after its next start"
                .to_owned(),
        ),
        HelperRole::Share(target) => VmEvent::ShareLost {
            reason: format!(
                "the program that shares `{target}` has ended; the machine has the folder again after its next start"
            ),
            target: target.clone(),
        },
    }
}

/// Reports what happens to the VM, until it has ended.
async fn watch(
    mut parts: Parts,
    qmp: std::sync::Arc<Qmp>,
    connection: Connection<platform::Stream>,
    events: VmEvents,
) {
    let (sender, raw) = mpsc::unbounded_channel();
    let mut translator = Translator::default();
    let served = async {
        if let Err(error) = connection.run(sender).await {
            tracing::warn!(%error, "The connection to the monitor broke");
        }
    };
    let network = Network {
        process: parts.identity.pid,
        socket: &parts.paths.network_socket,
    };
    let translated = translate(&mut translator, &qmp, &network, raw, &events);
    // The monitor closes when the process ends. A process that ends and leaves it open does not exist.
    let ended = async {
        tokio::join!(served, translated);
        parts.identity.ended().await;
    };
    let helpers = watch_helpers(&parts.identity, &mut parts.helpers, &events);
    tokio::select! {
        () = ended => {}
        () = helpers => {}
    }
    for helper in &mut parts.helpers {
        helper.end().await;
    }
    // It has ended, so this does not wait.
    let status = parts.child.and_then(|mut child| child.wait().ok());
    let reason = exit::reason(
        status,
        translator.shutdown(),
        &parts.paths.vm_log,
        parts.log_start,
    );
    drop(events.send(VmEvent::Exited(reason)));
}

/// Where the program of a guest's network is connected to QEMU.
struct Network<'a> {
    process: u32,
    socket: &'a Path,
}

impl Network<'_> {
    /// A program has connected.
    fn connected(&self, events: &VmEvents) {
        if let Err(error) = platform::unblock(self.process, self.socket) {
            drop(events.send(VmEvent::Warning(format!(
                "the machine may stand still while much goes over its network, for the connection to its program cannot be set \
                 not to wait ({error}); `machine set --network built-in` needs no program"
            ))));
        }
    }
}

async fn translate(
    translator: &mut Translator,
    qmp: &Qmp,
    network: &Network<'_>,
    mut raw: mpsc::UnboundedReceiver<RawEvent>,
    events: &VmEvents,
) {
    let status = qmp.execute(qapi::qmp::query_status {}).await;
    let chardevs = qmp.execute(qapi::qmp::query_chardev {}).await;
    let disks = qmp.execute(qapi::qmp::query_block {}).await;
    let begun = translator.begin(
        &status.unwrap_or_default(),
        &chardevs.unwrap_or_default(),
        &disks.unwrap_or_default(),
    );
    for event in begun {
        drop(events.send(event));
    }
    while let Some(event) = raw.recv().await {
        tracing::debug!(name = event.name, data = %event.data, "Event of the virtual machine");
        if event.name == "NETDEV_STREAM_CONNECTED" {
            network.connected(events);
        }
        let mut status = String::new();
        if Translator::needs_status(&event) {
            let answer = qmp.execute(qapi::qmp::query_status {}).await;
            let answer = answer.unwrap_or_default();
            answer["status"]
                .as_str()
                .unwrap_or("")
                .clone_into(&mut status);
        }
        if let Some(event) = translator.translate(&event, &status) {
            drop(events.send(event));
        }
    }
}
