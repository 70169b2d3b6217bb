//! What the owner begins with: the plan of a run, and a channel for each source of reports.

use std::path::PathBuf;
use std::sync::Arc;

use machine_protocol::secret::Secret;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::reports::OwnReport;
use crate::link::LinkReport;
use crate::machine::config::MachineConfig;
use crate::network::egress::keeper::EgressReport;
use crate::network::publish::PublishConfig;
use crate::provider::VmEvent;
use crate::store::{MachineFiles, Store};
use crate::supervisor::boot::BootReport;
use crate::supervisor::server::ClientRequest;

/// What the owner task begins with.
pub(in crate::supervisor) struct OwnerPlan {
    pub(in crate::supervisor) config: MachineConfig,
    pub(in crate::supervisor) files: MachineFiles,
    pub(in crate::supervisor) store: Store,
    pub(in crate::supervisor) secret: Secret,
    pub(in crate::supervisor) start_by: Instant,
    pub(in crate::supervisor) rescue: bool,
    pub(in crate::supervisor) ports: PublishConfig,
    pub(in crate::supervisor) ssh_agent: Option<PathBuf>,
    pub(in crate::supervisor) service: Option<String>,
    pub(in crate::supervisor) cut: Arc<Notify>,
}

/// One channel for each source of reports.
pub(in crate::supervisor) struct Inboxes {
    pub(in crate::supervisor) boot: Channel<BootReport>,
    pub(in crate::supervisor) vm: Channel<VmEvent>,
    pub(in crate::supervisor) link: Channel<LinkReport>,
    pub(in crate::supervisor) requests: Channel<ClientRequest>,
    pub(in crate::supervisor) network: Channel<EgressReport>,
    pub(in crate::supervisor) own: Channel<OwnReport>,
}

type Channel<T> = (mpsc::UnboundedSender<T>, mpsc::UnboundedReceiver<T>);

impl Default for Inboxes {
    fn default() -> Self {
        Self {
            boot: mpsc::unbounded_channel(),
            vm: mpsc::unbounded_channel(),
            link: mpsc::unbounded_channel(),
            requests: mpsc::unbounded_channel(),
            network: mpsc::unbounded_channel(),
            own: mpsc::unbounded_channel(),
        }
    }
}
