//! What the parts of a running machine report, and the state machine's inputs that it means.

use std::path::Path;

use machine_protocol::message::AgentRequest;

use super::{Owner, report_failure};
use crate::link::LinkReport;
use crate::machine::{DataDisk, ProviderKind};
use crate::network::egress::keeper::EgressReport;
use crate::network::publish::{MissingPort, PortNews};
use crate::network::sockets::Unreachable;
use crate::provider::{ExitReason, PauseReason, VmEvent};
use crate::supervisor::events::{Event, Failure};
use crate::supervisor::lifecycle::Input;
use crate::supervisor::record::VmRecord;
use crate::supervisor::{clock, room};

/// What tasks that the owner started for itself report.
#[derive(Debug)]
pub(in crate::supervisor) enum OwnReport {
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

impl Owner {
    pub(super) fn vm_event(&mut self, event: VmEvent) -> Option<Input> {
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

    pub(super) fn link_report(&mut self, report: LinkReport) -> Option<Input> {
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

    pub(super) fn network_report(&self, report: EgressReport) -> Input {
        let (process, problem) = match report {
            EgressReport::Up(process) => (Some(process), None),
            EgressReport::Down(problem) => (None, Some(problem)),
        };
        VmRecord::note_network(&self.files.vm_record(), process);
        Input::Network(problem)
    }

    pub(super) async fn own_report(&mut self, report: OwnReport) -> Option<Input> {
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

    /// Lets nobody else in the guest come to wait for a folder whose program has ended. Without a link the guest hears
    /// of it when there is one.
    fn give_up(&self, target: &str) {
        if let Some(link) = &self.link {
            link.tell(AgentRequest::ShareLost {
                target: target.to_owned(),
            });
        }
    }

    pub(super) fn set_clock(&self) {
        let Some(link) = &self.link else { return };
        let (agent, own) = (link.asker(), self.own.clone());
        tokio::spawn(async move {
            if let Some(by_ms) = clock::synchronise(agent).await {
                // The owner may be on its way out.
                let _ = own.send(OwnReport::ClockSet { by_ms });
            }
        });
    }
}
