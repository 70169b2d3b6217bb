//! The way out of a guest that is about to be launched: chosen before its seed is written, joined to its VM, and handed
//! to the owner task, which has it looked after.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use machine_host::companion::Companion;
use machine_host::program;

use super::events::{Code, Failure};
use super::evidence;
use super::record::NetworkRecord;
use crate::machine::{MachineConfig, NetworkOffer};
use crate::network::egress::choice;
use crate::network::egress::program::Place;
use crate::network::egress::{EgressPlan, HostNetwork, Joint, Wish};
use crate::provider::{NetworkJoint, ProviderError, launching};
use crate::store::layout::MachineFiles;

/// A program that carries packets, as the owner task gets it.
#[derive(Debug)]
pub(super) struct Carried {
    /// With what it is started.
    pub(super) plan: EgressPlan,
    /// The program, if it runs.
    pub(super) program: Option<Companion>,
}

impl Carried {
    /// As another supervisor left it.
    pub(super) fn found(record: NetworkRecord) -> Self {
        Self {
            plan: record.plan,
            program: record.process.map(Companion::found),
        }
    }

    /// The note of it.
    pub(super) fn record(&self) -> NetworkRecord {
        let program = self.program.as_ref();
        NetworkRecord {
            plan: self.plan.clone(),
            process: program.map(|program| program.identity().clone()),
        }
    }
}

/// The files of the program of a machine's network.
pub(super) fn place(files: &MachineFiles) -> Place {
    Place {
        socket: files.network_socket(),
        log: files.network_log(),
    }
}

/// What was chosen. A program that was started ends with this value, unless a VM was launched.
#[derive(Debug)]
pub(super) struct Outgoing {
    plan: EgressPlan,
    ipv6: bool,
    program: Option<Companion>,
}

impl Outgoing {
    /// Chooses by what the host has now; what the user should know is added to the warnings.
    pub(super) fn choose(
        config: &MachineConfig,
        offer: &NetworkOffer,
        directories: &[PathBuf],
        warnings: &mut Vec<String>,
    ) -> Result<Self, Failure> {
        let wish = Wish {
            network: config.network,
            host_loopback: config.host_loopback,
        };
        let host = HostNetwork::present();
        let find = |name: &str| program::find(name, directories);
        let (plan, said) =
            choice::choose(wish, offer, &host, directories, &find).map_err(|error| {
                let failure = Failure::new(error.to_string()).coded(Code::Provider);
                error
                    .hints(config.name.as_str())
                    .into_iter()
                    .fold(failure, Failure::hint)
            })?;
        warnings.extend(said);
        Ok(Self {
            plan,
            ipv6: host.has_ipv6(),
            program: None,
        })
    }

    /// Where the guest finds the host's loopback, if it is to find it.
    pub(super) fn host_loopback(&self) -> Option<Ipv4Addr> {
        self.plan.host_loopback.then_some(self.plan.network.host)
    }

    /// What the VM is to be joined to; starts a program that has to be there first.
    pub(super) fn join(&mut self, files: &MachineFiles) -> Result<NetworkJoint, Failure> {
        Ok(match self.plan.joint() {
            None => NetworkJoint::BuiltIn {
                network: self.plan.network,
                ipv6: self.ipv6,
            },
            Some(Joint::Hypervisor) => NetworkJoint::Listens,
            Some(Joint::Program) => {
                let program = self.plan.start(&place(files)).map_err(|error| {
                    let name = self.plan.egress.word();
                    Failure::new(format!(
                        "`{name}` cannot be started to carry the machine's packets"
                    ))
                    .coded(Code::Provider)
                    .because(error.to_string())
                    .hint("Choose another network with `machine set --network auto`")
                })?;
                launching::note(&files.launch_note(), program.identity());
                self.program = Some(program);
                NetworkJoint::Connects
            }
        })
    }

    /// A VM could not be launched: what the network's program said last, where that is the reason.
    pub(super) fn explain(&self, error: &ProviderError, files: &MachineFiles) -> Vec<String> {
        if !matches!(error, ProviderError::NetworkSilent { .. }) {
            return Vec::new();
        }
        let name = self.plan.egress.word();
        let lines = evidence::tail(&files.network_log());
        let said = lines.into_iter().map(|line| format!("{name} said: {line}"));
        said.collect()
    }

    /// Completes what could only be done with a VM. A program that does not start leaves a machine without a network,
    /// which is told by who looks after it.
    pub(super) fn launched(mut self, files: &MachineFiles) -> Option<Carried> {
        let joint = self.plan.joint()?;
        let program = match joint {
            Joint::Program => self.program.take(),
            Joint::Hypervisor => self
                .plan
                .start(&place(files))
                .inspect_err(|error| tracing::warn!(%error, "The network's program does not start"))
                .ok(),
        };
        Some(Carried {
            plan: self.plan.clone(),
            program,
        })
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        if let Some(program) = &mut self.program
            && let Err(error) = program.end()
        {
            tracing::warn!(%error, "The network's program could not be ended");
        }
    }
}
