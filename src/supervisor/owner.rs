//! The owner task: everything that happens to a machine passes through here, one thing at a time.
//!
//! It turns reports into the state machine's inputs and carries out the actions that come back; it decides nothing.

use std::time::Duration;

use machine_host::lock::FileLock;
use machine_host::termination::Termination;
use machine_protocol::message::{AgentRequest, Engine};
use machine_protocol::secret::Secret;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::audience::Audience;
use super::boot::BootReport;
use super::control::{Reply, Request};
use super::events::{Event, Failure};
use super::evidence;
use super::lifecycle::{Action, Input, Lifecycle, Rung};
use super::record::VmRecord;
use super::run::{BUILD, Inboxes};
use super::server::{ClientRequest, Server};
use crate::link::{self, Carrier, LinkConfig, LinkHandle, LinkReport};
use crate::machine::ProviderKind;
use crate::machine::config::MachineConfig;
use crate::machine::deadlines::{self, Deadline};
use crate::provider::{ExitReason, Progress, ProviderError, Vm, VmEvent};
use crate::store::document;
use crate::store::layout::MachineFiles;

/// What was seen of the guest when it was last looked at; only looked at when its time is up.
struct QuietWatch {
    until: Instant,
    limit: Duration,
    seen: (Progress, u64, u64),
}

impl QuietWatch {
    fn new() -> Self {
        // Until the accelerator is known, a start must be assumed to be slow.
        let limit = deadlines::QUIET_EMULATED.limit;
        Self {
            until: Instant::now() + limit,
            limit,
            seen: (Progress::default(), 0, 0),
        }
    }

    fn heard(&mut self) {
        self.until = Instant::now() + self.limit;
    }
}

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

/// What the owner task owns.
pub(super) struct Owner {
    config: MachineConfig,
    files: MachineFiles,
    secret: Secret,
    life: Lifecycle,
    audience: Audience,
    vm: Option<Box<dyn Vm>>,
    link: Option<LinkHandle>,
    link_reports: mpsc::UnboundedSender<LinkReport>,
    rung: Option<Instant>,
    quiet: QuietWatch,
    start_by: Instant,
    last_refusal: Option<String>,
    exiting: bool,
}

impl Owner {
    /// An owner of a machine that is not up yet; it must be by `start_by`.
    pub(super) fn new(
        config: MachineConfig,
        files: MachineFiles,
        secret: Secret,
        audience: Audience,
        link_reports: mpsc::UnboundedSender<LinkReport>,
        start_by: Instant,
    ) -> Self {
        Self {
            life: Lifecycle::new(config.rootful),
            config,
            files,
            secret,
            audience,
            vm: None,
            link: None,
            link_reports,
            rung: None,
            quiet: QuietWatch::new(),
            start_by,
            last_refusal: None,
            exiting: false,
        }
    }

    /// Takes what comes, one thing at a time, until all is over.
    pub(super) async fn serve(&mut self, inboxes: &mut Inboxes, mut terminated: Termination) {
        while !self.exiting {
            let far = Instant::now() + deadlines::START_TOTAL.limit;
            let rung = self.rung.unwrap_or(far);
            let starting = self.life.is_starting();
            let input = tokio::select! {
                Some(report) = inboxes.boot.1.recv() => self.boot(report).await,
                Some(event) = inboxes.vm.1.recv() => self.vm_event(event),
                Some(report) = inboxes.link.1.recv() => self.link_report(report),
                Some(request) = inboxes.requests.1.recv() => self.request(request),
                () = terminated.recv() => Some(Input::Terminated),
                () = tokio::time::sleep_until(rung), if self.rung.is_some() => Some(Input::RungExpired),
                () = tokio::time::sleep_until(self.quiet.until), if starting => self.silence().await,
                () = tokio::time::sleep_until(self.start_by), if starting => Some(Input::StartExpired { detail: self.last_seen() }),
            };
            if let Some(input) = input {
                self.handle(input).await;
            }
        }
    }

    async fn handle(&mut self, input: Input) {
        if matches!(input, Input::VmExited { .. }) {
            // What the first boot's journal says is the cause of this exit; nothing more can come.
            let lines = evidence::first_boot_journal(&self.files.guest_journal());
            if !lines.is_empty() && self.life.is_starting() {
                self.carry_out(Input::FirstBootFailed { lines }).await;
            }
        }
        self.carry_out(input).await;
        self.audience.publish(self.life.state());
    }

    async fn carry_out(&mut self, input: Input) {
        for action in self.life.handle(input) {
            match action {
                Action::Announce(event) => {
                    let event = self.with_console(event);
                    self.audience.announce(event);
                }
                Action::Climb(rung) => self.climb(rung).await,
                Action::OpenApi => self.open_api().await,
                Action::CloseApi => {
                    if let Some(link) = &self.link {
                        link.unserve();
                    }
                    self.note_last_up();
                }
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
            BootReport::Launched { vm, emulated } => {
                let pid = vm.identity().pid;
                let quiet = if emulated {
                    deadlines::QUIET_EMULATED
                } else {
                    deadlines::QUIET_ACCELERATED
                };
                self.quiet.limit = quiet.limit;
                self.quiet.heard();
                let config = LinkConfig {
                    carrier: Carrier::VirtioSerial {
                        socket: self.files.link_socket(),
                    },
                    secret: self.secret.clone(),
                    build: BUILD.to_owned(),
                };
                self.audience.publish_vm(pid);
                match link::spawn(config, self.link_reports.clone()) {
                    Ok(link) => self.link = Some(link),
                    Err(error) => {
                        report_failure("kill", vm.kill().await);
                        VmRecord::remove(&self.files.vm_record());
                        let failure = Failure::new("The link's thread cannot be started")
                            .because(error.to_string());
                        return Some(Input::BootFailed(failure));
                    }
                }
                self.vm = Some(vm);
                Some(Input::Launched { pid })
            }
        }
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
                None
            }
            VmEvent::Reset { .. } => Some(Input::Reset),
            VmEvent::Paused { reason } => Some(Input::Paused {
                reason: format!("paused: {reason}"),
            }),
            VmEvent::Resumed => Some(Input::Resumed),
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
            }),
        }
    }

    fn link_report(&mut self, report: LinkReport) -> Option<Input> {
        self.quiet.heard();
        match report {
            LinkReport::Up { agent } => {
                self.last_refusal = None;
                Some(Input::LinkUp {
                    agent,
                    carrier: "virtio-serial".to_owned(),
                })
            }
            LinkReport::Down { reason } => Some(Input::LinkDown { reason }),
            LinkReport::Refused { reason } => {
                tracing::info!(reason, "No session with the agent yet");
                self.last_refusal = Some(reason);
                None
            }
            LinkReport::Agent(event) => {
                tracing::debug!(?event, "The agent reports");
                Some(Input::Agent(event))
            }
        }
    }

    fn request(&mut self, request: ClientRequest) -> Option<Input> {
        let (request, replies) = match request {
            ClientRequest::Ask { request, replies } => (request, replies),
            ClientRequest::Tunnel { stream, target } => {
                // Without a link the stream is dropped, which the client sees as its end.
                self.link.as_ref()?.tunnel(stream, target);
                return None;
            }
        };
        match request {
            Request::Follow { .. } => {
                self.audience.follow(replies);
                None
            }
            Request::Stop { force, .. } => {
                let id = self.audience.wait_for_stop(replies);
                Some(Input::Stop { id, force })
            }
            Request::Statistics { .. } => {
                let statistics = self.link.as_ref()?.statistics();
                tokio::spawn(async move {
                    if let Ok(held) = statistics.await {
                        let reply = Reply::Statistics {
                            streams: held.streams as u64,
                            buffered_bytes: held.buffered_bytes as u64,
                            peak_buffered_bytes: held.peak_buffered_bytes as u64,
                        };
                        // A client that has hung up does not care.
                        let _ = replies.send(reply).await;
                    }
                });
                None
            }
            // The server passes these on in the form above.
            Request::Tunnel { .. } => None,
        }
    }

    /// The quiet period is over: has the guest really been silent?
    async fn silence(&mut self) -> Option<Input> {
        let progress = match &self.vm {
            // A monitor that does not answer shows no progress.
            Some(vm) => vm.progress().await.unwrap_or_default(),
            None => Progress::default(),
        };
        let seen = (
            progress,
            evidence::length(&self.files.console_log()),
            evidence::length(&self.files.guest_journal()),
        );
        if seen.2 > 0 {
            return Some(Input::FirstBootFailed {
                lines: evidence::first_boot_journal(&self.files.guest_journal()),
            });
        }
        if std::mem::replace(&mut self.quiet.seen, seen) == seen {
            return Some(Input::Silent {
                detail: self.last_seen(),
            });
        }
        self.quiet.heard();
        None
    }

    fn last_seen(&self) -> Vec<String> {
        let refusal = self
            .last_refusal
            .iter()
            .map(|reason| format!("The last attempt to reach the agent: {reason}"));
        refusal.collect()
    }

    /// A failure of the guest is explained by what it printed last.
    fn with_console(&self, event: Event) -> Event {
        let Event::Failed(mut failure) = event else {
            return event;
        };
        let console = evidence::tail(&self.files.console_log());
        if self.vm.is_some() && !console.is_empty() {
            failure
                .detail
                .push("The guest's console ended with:".to_owned());
            failure
                .detail
                .extend(console.into_iter().map(|line| format!("    {line}")));
        }
        if self.vm.is_some() {
            failure.hints.push(format!(
                "The whole console is in `{}`",
                self.files.console_log().display()
            ));
        }
        Event::Failed(failure)
    }

    async fn climb(&mut self, rung: Rung) {
        let Some(vm) = &self.vm else { return };
        let deadline: &Deadline = match rung {
            Rung::Agent => &deadlines::AGENT_POWER_OFF,
            Rung::PowerButton => &deadlines::ACPI_POWER_DOWN,
            Rung::Quit => &deadlines::QUIT,
            Rung::Kill => &deadlines::KILLED,
        };
        tracing::info!(?rung, limit = ?deadline.limit, "Stopping");
        self.rung = Some(Instant::now() + deadline.limit);
        match rung {
            Rung::Agent => {
                if let Some(link) = &self.link {
                    link.ask(AgentRequest::PowerOff);
                }
            }
            Rung::PowerButton => report_failure("power button", vm.power_down().await),
            Rung::Quit => report_failure("quit", vm.quit().await),
            Rung::Kill => report_failure("kill", vm.kill().await),
        }
    }

    async fn open_api(&mut self) {
        let Some(link) = &self.link else { return };
        let engine = if self.config.rootful {
            Engine::Rootful
        } else {
            Engine::Rootless
        };
        if let Err(error) = link.serve(self.files.api_socket(), engine).await {
            self.audience.announce(Event::Warning {
                message: format!("the API socket cannot be opened: {error}"),
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
        if let Some(link) = self.link.take() {
            link.close().await;
        }
        if self.vm.take().is_some() {
            VmRecord::remove(&self.files.vm_record());
        }
        for socket in [
            self.files.api_socket(),
            self.files.qmp_socket(),
            self.files.link_socket(),
        ] {
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
