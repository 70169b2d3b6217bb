//! The owner task: everything that happens to a machine passes through here, one thing at a time.
//!
//! It carries out the actions of the state machine and decides nothing. How it comes to its VM is in [`launch`], what the
//! parts of the machine report in [`reports`], and what clients ask in [`requests`]; each of them gives inputs for the state
//! machine. What explains a guest that fails is gathered in [`explain`], and how the machine is left to another supervisor
//! is in [`hand_over`]; what the owner begins with is in [`plan`].

mod explain;
mod hand_over;
mod launch;
mod plan;
mod reports;
mod requests;

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;

use machine_host::lock::FileLock;
use machine_host::termination::Termination;
use machine_protocol::message::AgentRequest;
use machine_protocol::secret::Secret;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, MissedTickBehavior};

pub(super) use self::plan::{Inboxes, OwnerPlan};
use self::reports::OwnReport;
use super::access;
use super::audience::Audience;
use super::clock::{ClockWatch, SystemClock};
use super::console::ConsoleWatch;
use super::control::Reply;
use super::edits::EditWatch;
use super::events::Event;
use super::first_boot::FirstBootServer;
use super::lifecycle::{Action, Input, Lifecycle, Rung};
use super::quiet::QuietWatch;
use super::record::VmRecord;
use super::server::Server;
use crate::docker_socket;
use crate::link::{LinkHandle, LinkReport};
use crate::machine::config::MachineConfig;
use crate::machine::deadlines::{self, Deadline};
use crate::network::egress::keeper::{EgressReport, Keeper};
use crate::network::publish::PublishConfig;
use crate::network::sockets::{self, Route};
use crate::provider::{ProviderError, Vm};
use crate::store::layout::MachineFiles;
use crate::store::{Store, document};

/// A rung that cannot be climbed is no error of the stop: the next one follows when its time is up.
fn report_failure(what: &str, result: Result<(), ProviderError>) {
    if let Err(error) = result {
        tracing::warn!(%error, "The VM did not take: {what}");
    }
}

/// What the owner task owns.
pub(super) struct Owner {
    config: MachineConfig,
    files: MachineFiles,
    store: Store,
    secret: Secret,
    life: Lifecycle,
    audience: Audience,
    vm: Option<Box<dyn Vm>>,
    link: Option<LinkHandle>,
    /// Answers Ignition until the guest is up.
    first_boot: Option<FirstBootServer>,
    link_reports: mpsc::UnboundedSender<LinkReport>,
    network: Option<Keeper>,
    network_reports: mpsc::UnboundedSender<EgressReport>,
    own: mpsc::UnboundedSender<OwnReport>,
    ssh: Option<TcpListener>,
    rung: Option<Instant>,
    quiet: QuietWatch,
    clock: ClockWatch,
    console: Option<ConsoleWatch>,
    /// Tells the guest what the host changes in its folders.
    edits: Option<EditWatch>,
    start_by: Instant,
    last_refusal: Option<String>,
    ports: PublishConfig,
    ssh_agent: Option<PathBuf>,
    service: Option<String>,
    /// Folders of the host that the guest lacks, by their places in it.
    lost_shares: Vec<String>,
    /// The VM stands still because the host's disk is full.
    starved: bool,
    exiting: bool,
    /// Told when nobody wants the VM any more that is being made.
    cut: Arc<Notify>,
    /// Who is told that the machine is left to another supervisor, where it is.
    successor: Option<mpsc::Sender<Reply>>,
}

impl Owner {
    /// An owner of a machine that is not up yet; it must be by `start_by`.
    pub(super) fn new(plan: OwnerPlan, audience: Audience, inboxes: &Inboxes) -> Self {
        Self {
            life: Lifecycle::new(plan.config.rootful, plan.rescue),
            config: plan.config,
            files: plan.files,
            store: plan.store,
            secret: plan.secret,
            audience,
            vm: None,
            link: None,
            first_boot: None,
            link_reports: inboxes.link.0.clone(),
            network: None,
            network_reports: inboxes.network.0.clone(),
            own: inboxes.own.0.clone(),
            ssh: None,
            rung: None,
            quiet: QuietWatch::new(),
            clock: ClockWatch::new(&SystemClock),
            console: None,
            edits: None,
            start_by: plan.start_by,
            last_refusal: None,
            ports: plan.ports,
            ssh_agent: plan.ssh_agent,
            service: plan.service,
            cut: plan.cut,
            lost_shares: Vec::new(),
            starved: false,
            exiting: false,
            successor: None,
        }
    }

    /// What the state machine has to know of the sockets of the host.
    fn sockets(&self) -> Input {
        Input::Sockets {
            wanted: !self.config.forward_sockets.is_empty(),
            problem: sockets::problem(&self.routes()),
        }
    }

    fn routes(&self) -> Vec<Route> {
        sockets::routes(&self.config.forward_sockets, self.ssh_agent.as_deref())
    }

    /// Takes what comes, one thing at a time, until all is over.
    pub(super) async fn serve(&mut self, inboxes: &mut Inboxes, mut terminated: Termination) {
        let mut tick = tokio::time::interval(deadlines::CLOCK_TICK.limit);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.handle(self.sockets()).await;
        while !self.exiting {
            let far = Instant::now() + deadlines::START_TOTAL.limit;
            let rung = self.rung.unwrap_or(far);
            let starting = self.life.is_starting();
            let input = tokio::select! {
                Some(report) = inboxes.boot.1.recv() => self.boot(report).await,
                Some(event) = inboxes.vm.1.recv() => self.vm_event(event),
                Some(report) = inboxes.link.1.recv() => self.link_report(report),
                Some(request) = inboxes.requests.1.recv() => self.request(request).await,
                Some(report) = inboxes.own.1.recv() => self.own_report(report).await,
                Some(report) = inboxes.network.1.recv() => Some(self.network_report(report)),
                () = terminated.recv() => Some(Input::Terminated),
                () = tokio::time::sleep_until(rung), if self.rung.is_some() => Some(Input::RungExpired),
                () = tokio::time::sleep_until(self.quiet.until()), if starting => self.silence().await,
                () = tokio::time::sleep_until(self.start_by), if starting => {
                    Some(Input::StartExpired { detail: self.last_seen().await })
                }
                _ = tick.tick(), if self.link.is_some() => self.tick(),
            };
            if let Some(input) = input {
                self.handle(input).await;
            }
        }
    }

    async fn handle(&mut self, input: Input) {
        self.carry_out(input).await;
        self.audience.publish(self.life.state());
    }

    async fn carry_out(&mut self, input: Input) {
        for action in self.life.handle(input) {
            match action {
                Action::Announce(event) => {
                    let event = self.explained(event);
                    self.audience.announce(event);
                }
                Action::Climb(rung) => self.climb(rung).await,
                Action::AskAgain => self.ask_to_power_off(),
                Action::OpenApi => self.open_api().await,
                Action::CloseApi => {
                    if let Some(link) = &self.link {
                        link.unserve();
                    }
                    self.note_last_up();
                }
                Action::CutOff => self.cut.notify_one(),
                Action::Answer(id) => {
                    // The answers are sent when nothing of this run is left: see `leave`.
                    tracing::debug!(id, "A client waits for the end");
                }
                Action::Exit => self.exiting = true,
            }
        }
    }

    fn tick(&mut self) -> Option<Input> {
        if self.clock.tick(&SystemClock) {
            self.set_clock();
        }
        None
    }

    /// Without a link nobody hears it, and it is said again when there is one.
    fn ask_to_power_off(&self) {
        if let Some(link) = &self.link {
            link.tell(AgentRequest::PowerOff);
        }
    }

    async fn climb(&mut self, rung: Rung) {
        let Some(vm) = &self.vm else { return };
        let deadline: &Deadline = match rung {
            Rung::Agent if self.life.lacks_shares() => &deadlines::HELD_POWER_OFF,
            Rung::Agent => &deadlines::AGENT_POWER_OFF,
            Rung::PowerButton => &deadlines::ACPI_POWER_DOWN,
            Rung::Quit => &deadlines::QUIT,
            Rung::Kill => &deadlines::KILLED,
        };
        tracing::info!(?rung, limit = ?deadline.limit, "Stopping");
        self.rung = Some(Instant::now() + deadline.limit);
        match rung {
            Rung::Agent => self.ask_to_power_off(),
            Rung::PowerButton => report_failure("power button", vm.power_down().await),
            Rung::Quit => report_failure("quit", vm.quit().await),
            Rung::Kill => report_failure("kill", vm.kill().await),
        }
    }

    async fn open_api(&mut self) {
        VmRecord::note_up(&self.files.vm_record());
        // From here on the agent is the one to tell what goes wrong.
        self.console = None;
        let Some(link) = &self.link else { return };
        let opened = access::open_engines(link, &self.files, self.config.rootful).await;
        if let Err(error) = opened {
            self.audience.announce(Event::Warning {
                message: format!("The API sockets cannot be opened: {error}"),
            });
        }
        self.note_last_up();
    }

    fn note_last_up(&self) {
        if let Err(error) = document::write_last_up(&self.files, jiff::Timestamp::now()) {
            tracing::warn!(%error, "The time of the last run could not be noted");
        }
    }

    /// Nothing of the run is left when clients hear that it is over: no VM, no socket, no lock.
    pub(super) async fn leave(mut self, server: Server, lock: FileLock) {
        if let Some(successor) = self.successor.take() {
            return self.hand_over(server, lock, successor).await;
        }
        if let Some(link) = self.link.take() {
            link.close().await;
        }
        if let Some(network) = self.network.take() {
            network.end();
        }
        if self.vm.take().is_some() {
            VmRecord::remove(&self.files.vm_record());
        }
        docker_socket::release(&self.files.api_socket());
        let control = self.files.control_socket();
        for socket in self.files.all_sockets() {
            // This one goes by its server's hand, last.
            if socket == control {
                continue;
            }
            if let Err(error) = fs_err::remove_file(&socket)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(%error, "A socket stays behind");
            }
        }
        server.unlink();
        drop(lock);
        self.audience.dismiss();
        server.close().await;
    }
}
