//! The owner task: everything that happens to a machine passes through here, one thing at a time.
//!
//! It turns reports into the state machine's inputs and carries out the actions that come back; it decides nothing. What
//! clients ask is answered in [`requests`], what explains a guest that fails is gathered in [`explain`], and how the machine
//! is left to another supervisor is in [`hand_over`].

mod explain;
mod hand_over;
mod requests;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use machine_host::lock::FileLock;
use machine_host::termination::Termination;
use machine_protocol::message::AgentRequest;
use machine_protocol::secret::Secret;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, MissedTickBehavior};

use super::access;
use super::audience::Audience;
use super::boot::BootReport;
use super::clock::{self, ClockWatch, SystemClock};
use super::console::ConsoleWatch;
use super::control::{BUILD, Reply};
use super::edits::EditWatch;
use super::enclosure;
use super::events::{Event, Failure};
use super::first_boot::FirstBootServer;
use super::lifecycle::{Action, Input, Lifecycle, Rung};
use super::network::{self, Carried};
use super::quiet::QuietWatch;
use super::record::VmRecord;
use super::room;
use super::run::{Inboxes, OwnerPlan};
use super::server::Server;
use crate::docker_socket;
use crate::link::{self, Carrier, LinkConfig, LinkHandle, LinkReport};
use crate::machine::ProviderKind;
use crate::machine::config::MachineConfig;
use crate::machine::deadlines::{self, Deadline};
use crate::machine::{DataDisk, Vsock};
use crate::network::egress::keeper::{EgressReport, Keeper};
use crate::network::publish::{MissingPort, PortNews, PublishConfig};
use crate::network::sockets::{self, Route, Unreachable};
use crate::provider::{ExitReason, PauseReason, ProviderError, Vm, VmEvent};
use crate::store::layout::MachineFiles;
use crate::store::{Store, document};

/// A rung that cannot be climbed is no error of the stop: the next one follows when its time is up.
fn report_failure(what: &str, result: Result<(), ProviderError>) {
    if let Err(error) = result {
        tracing::warn!(%error, "The VM did not take: {what}");
    }
}

/// Podman's words for a VM process that ended by itself (spec 1.4.2).
fn unexpected_exit(provider: ProviderKind, exit: &ExitReason) -> String {
    match (exit.code, exit.signal) {
        (_, Some(signal)) => format!("{provider} was terminated by signal: {signal}"),
        (Some(code), None) => format!(
            "{provider} exited unexpectedly with exit code {code}, stderr: {}",
            exit.last_lines.join(" ")
        ),
        (None, None) => format!(
            "{provider} exited unexpectedly, stderr: {}",
            exit.last_lines.join(" ")
        ),
    }
}

/// What is told of a port.
fn port_event(news: PortNews) -> Event {
    match news {
        PortNews::Opened(port) => Event::PortOpened(port),
        PortNews::Closed(port) => Event::PortClosed(port),
        PortNews::Missing(MissingPort { port, reason }) => Event::Warning {
            message: format!(
                "port {} of the guest is not published: {reason}",
                port.guest_port
            ),
        },
        PortNews::LeftOut { count } => Event::Warning {
            message: format!("{count} more ports were opened or closed in a short time"),
        },
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

/// What tasks that the owner started for itself report.
#[derive(Debug)]
pub(super) enum OwnReport {
    /// The guest's clock was set.
    ClockSet {
        /// By how much.
        by_ms: i64,
    },
    /// The guest said its last words on the console.
    LastWords(Failure),
    /// The host has space again.
    HostHasRoom,
    /// The guest is not told of all that changes in a folder, for this reason.
    Unwatched(String),
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

    async fn boot(&mut self, report: BootReport) -> Option<Input> {
        self.quiet.heard();
        match report {
            BootReport::Entered(phase) => Some(Input::Entered(phase)),
            BootReport::Warning(message) => {
                self.audience.announce(Event::Warning { message });
                None
            }
            BootReport::Failed(failure) => Some(Input::BootFailed(failure)),
            BootReport::SshPort(claimed) => {
                if let Some(from) = claimed.taken {
                    // Podman's words (spec 1.4.2).
                    self.audience.announce(Event::Warning {
                        message: format!(
                            "detected port conflict on machine ssh port [{from}], reassigning"
                        ),
                    });
                    self.audience.announce(Event::SshPortChanged {
                        from,
                        to: claimed.port,
                    });
                }
                self.config.ssh_port = claimed.port;
                self.ssh = Some(claimed.listener);
                None
            }
            BootReport::Launched {
                vm,
                vsock,
                serial,
                program,
                first_boot,
                network,
                emulated,
                adopted,
                was_up,
            } => {
                if was_up {
                    self.life.keep_running();
                }
                self.network = network.map(|carried| self.keep_network(*carried));
                self.first_boot = first_boot;
                let mut carriers =
                    link::in_order(vsock, serial, self.config.vsock == Vsock::UserFirst);
                carriers.extend(program.map(|program| Carrier::Program(*program)));
                Some(self.launched(vm, carriers, emulated, adopted).await)
            }
        }
    }

    async fn launched(
        &mut self,
        vm: Box<dyn Vm>,
        carriers: Vec<Carrier>,
        emulated: bool,
        adopted: bool,
    ) -> Input {
        let pid = vm.identity().pid;
        self.enclose(&*vm);
        self.quiet.adjust(emulated);
        self.audience.publish_vm(pid);
        let config = LinkConfig {
            carriers,
            secret: self.secret.clone(),
            build: BUILD.to_owned(),
            ports: self.ports.clone(),
        };
        let link = match link::spawn(config, self.link_reports.clone()) {
            Ok(link) => link,
            Err(error) => {
                report_failure("kill", vm.kill().await);
                VmRecord::remove(&self.files.vm_record());
                let failure =
                    Failure::new("The link's thread cannot be started").because(error.to_string());
                return Input::BootFailed(failure);
            }
        };
        if let Some(listener) = self.ssh.take()
            && let Err(error) = access::open_ssh(&link, listener).await
        {
            self.audience.announce(Event::Warning {
                message: format!("The SSH port cannot be served: {error}"),
            });
        }
        // What cannot be opened is reported.
        drop(self.configure_ports(&link));
        // The guest is told when it is there.
        drop(link.configure_sockets(self.routes()));
        drop(link.forward_listeners(self.config.forward_listeners));
        let own = self.own.clone();
        let volumes = &self.config.volumes;
        self.edits = Some(EditWatch::begin(volumes, &link.asker(), move |reason| {
            // An owner on its way out wants to hear nothing.
            let _ = own.send(OwnReport::Unwatched(reason));
        }));
        self.link = Some(link);
        self.vm = Some(vm);
        if !adopted {
            let own = self.own.clone();
            self.console = ConsoleWatch::begin(&self.files.console_log(), move |failure| {
                own.send(OwnReport::LastWords(failure)).is_ok()
            });
        }
        Input::Launched { pid, adopted }
    }

    /// Where this process is a service of the system, the VM and the programs beside it are to be ended after it.
    fn enclose(&self, vm: &dyn Vm) {
        let Some(service) = self.service.clone() else {
            return;
        };
        let helpers = vm.helpers();
        let network = VmRecord::read(&self.files.vm_record())
            .and_then(|record| record.network)
            .and_then(|network| network.process);
        let helpers = helpers.iter().map(|helper| helper.process.pid);
        let pids = std::iter::once(vm.identity().pid)
            .chain(helpers)
            .chain(network.map(|process| process.pid))
            .collect();
        enclosure::begin(service, pids);
    }

    fn keep_network(&self, carried: Carried) -> Keeper {
        let place = network::place(&self.files);
        let reports = self.network_reports.clone();
        Keeper::begin(carried.plan, place, carried.program, reports)
    }

    fn network_report(&self, report: EgressReport) -> Input {
        let (process, problem) = match report {
            EgressReport::Up(process) => (Some(process), None),
            EgressReport::Down(problem) => (None, Some(problem)),
        };
        VmRecord::note_network(&self.files.vm_record(), process);
        Input::Network(problem)
    }

    async fn own_report(&mut self, report: OwnReport) -> Option<Input> {
        match report {
            OwnReport::ClockSet { by_ms } => {
                self.audience.announce(Event::ClockSet { by_ms });
                None
            }
            OwnReport::LastWords(failure) => Some(Input::GuestFailed(failure)),
            OwnReport::Unwatched(reason) => Some(Input::Unwatched { reason }),
            OwnReport::HostHasRoom => {
                if let (true, Some(vm)) = (self.starved, &self.vm) {
                    report_failure("resume", vm.resume().await);
                }
                None
            }
        }
    }

    /// Takes note of why the VM stands still, and has it go on when the host has space again where that is why.
    fn paused(&mut self, reason: &PauseReason) -> Input {
        self.starved = *reason == PauseReason::HostDiskFull;
        if !self.starved {
            return Input::Paused {
                reason: format!("paused: {reason}"),
            };
        }
        let own = self.own.clone();
        let mut directories = vec![self.files.directory().to_owned()];
        if let Some(DataDisk::At(disk)) = &self.config.data_disk {
            directories.extend(disk.parent().map(Path::to_owned));
        }
        let places: Vec<String> = directories
            .iter()
            .map(|place| format!("`{}`", place.display()))
            .collect();
        let reason = format!(
            "paused: {reason}; the machine goes on by itself when there is room in {}",
            places.join(" and ")
        );
        tokio::spawn(async move {
            room::wait(directories).await;
            // The owner may be on its way out.
            let _ = own.send(OwnReport::HostHasRoom);
        });
        Input::Paused { reason }
    }

    fn tick(&mut self) -> Option<Input> {
        if self.clock.tick(&SystemClock) {
            self.set_clock();
        }
        None
    }

    /// Lets nobody else in the guest come to wait for a folder whose program has ended. Without a link the guest hears
    /// of it when there is one.
    fn give_up(&self, target: &str) {
        if let Some(link) = &self.link {
            link.tell(AgentRequest::ShareLost {
                target: target.to_owned(),
            });
        }
    }

    fn set_clock(&self) {
        let Some(link) = &self.link else { return };
        let (agent, own) = (link.asker(), self.own.clone());
        tokio::spawn(async move {
            if let Some(by_ms) = clock::synchronise(agent).await {
                // The owner may be on its way out.
                let _ = own.send(OwnReport::ClockSet { by_ms });
            }
        });
    }

    fn vm_event(&mut self, event: VmEvent) -> Option<Input> {
        self.quiet.heard();
        match event {
            VmEvent::CarrierOpened => {
                self.link.as_ref()?.guest_opened();
                None
            }
            VmEvent::CarrierClosed => {
                self.link.as_ref()?.guest_closed();
                Some(Input::AgentEnded)
            }
            VmEvent::Reset { .. } => {
                if let Some(link) = &self.link {
                    link.guest_reset();
                }
                Some(Input::Reset)
            }
            VmEvent::Warning(message) => {
                self.audience.announce(Event::Warning { message });
                None
            }
            VmEvent::ShareLost { target, reason } => {
                self.give_up(&target);
                self.lost_shares.push(target);
                if self.life.is_starting() {
                    // Whoever waits for the start is told now; later it is why the machine is degraded.
                    self.audience.announce(Event::Warning {
                        message: reason.clone(),
                    });
                }
                Some(Input::ShareLost { reason })
            }
            VmEvent::Paused { reason } => Some(self.paused(&reason)),
            VmEvent::Resumed => {
                self.starved = false;
                self.set_clock();
                Some(Input::Resumed)
            }
            VmEvent::Panicked => {
                self.audience.announce(Event::Warning {
                    message: "the guest's kernel panicked".to_owned(),
                });
                None
            }
            VmEvent::PoweredDown => None,
            VmEvent::Exited(exit) => Some(Input::VmExited {
                orderly: exit.is_orderly(),
                reason: unexpected_exit(self.config.provider, &exit),
                // What the first boot's journal says; nothing more can come.
                cause: self.first_boot_failure(),
            }),
        }
    }

    fn link_report(&mut self, report: LinkReport) -> Option<Input> {
        self.quiet.heard();
        match report {
            LinkReport::Up { agent, carrier } => {
                self.last_refusal = None;
                // Ignition has run: what it was told is for nobody else in the guest.
                self.first_boot = None;
                self.set_clock();
                if let Some(link) = &self.link {
                    for target in self.lost_shares.clone() {
                        link.tell(AgentRequest::ShareLost { target });
                    }
                    // The guest may have been told of another mode than that of now.
                    link.tell(AgentRequest::SetMode {
                        rootful: self.config.rootful,
                    });
                    link.tell(AgentRequest::WatchListeners {
                        on: self.config.forward_listeners,
                    });
                }
                Some(Input::LinkUp {
                    agent,
                    carrier: carrier.to_owned(),
                })
            }
            LinkReport::Down { reason } => Some(Input::LinkDown { reason }),
            LinkReport::Refused { reason, rejected } => {
                tracing::info!(reason, "No session with the agent yet");
                self.last_refusal = Some(reason.clone());
                rejected.then_some(Input::AgentRefused { reason })
            }
            LinkReport::Agent(event) => {
                tracing::debug!(?event, "The agent reports");
                Some(Input::Agent(event))
            }
            LinkReport::SocketsTold { problem } => {
                if let Some(problem) = problem {
                    self.audience.announce(Event::Warning {
                        message: format!("the guest has no sockets of the host: {problem}"),
                    });
                }
                Some(Input::SocketsTold)
            }
            LinkReport::SocketUnreachable(Unreachable { guest, reason }) => {
                self.audience.announce(Event::Warning {
                    message: format!("the socket `{guest}` of the guest leads nowhere: {reason}"),
                });
                None
            }
            LinkReport::Port(news) => {
                self.audience.announce(port_event(news));
                None
            }
        }
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
