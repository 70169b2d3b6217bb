//! From the boot task's reports to a VM that the owner has: the one that was launched, or found alive.

use super::reports::OwnReport;
use super::{Owner, report_failure};
use crate::link::{self, Carrier, LinkConfig};
use crate::machine::Vsock;
use crate::network::egress::keeper::Keeper;
use crate::provider::Vm;
use crate::supervisor::boot::BootReport;
use crate::supervisor::console::ConsoleWatch;
use crate::supervisor::control::BUILD;
use crate::supervisor::edits::EditWatch;
use crate::supervisor::events::{Event, Failure};
use crate::supervisor::lifecycle::Input;
use crate::supervisor::network::{self, Carried};
use crate::supervisor::record::VmRecord;
use crate::supervisor::{access, enclosure};

impl Owner {
    pub(super) async fn boot(&mut self, report: BootReport) -> Option<Input> {
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
}
