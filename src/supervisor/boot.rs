//! The boot task: from a stopped machine to a VM process, one phase after another.
//!
//! It runs beside the owner task, so that a stop is heard while an accelerator is probed, and reports each step to it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use machine_host::atomic::{self, Access};
use machine_host::facts::{self, Architecture};
use machine_protocol::boot::{BootParameters, Carrier, VIRTIO_SERIAL_PORT};
use machine_protocol::secret::Secret;
use tokio::sync::mpsc;

use super::events::{Failure, Phase};
use super::record::VmRecord;
use crate::machine::config::MachineConfig;
use crate::provider::{LaunchPlan, Provider, ProviderError, ResolveRequest, Vm, VmEvents, VmPaths};
use crate::store::layout::MachineFiles;

/// What the boot task reports.
pub(super) enum BootReport {
    /// A step begins.
    Entered(Phase),
    /// Something the user should know.
    Warning(String),
    /// There is a VM; the task has ended.
    Launched {
        /// Its handle.
        vm: Box<dyn Vm>,
        /// True when its instructions are, or may be, emulated.
        emulated: bool,
    },
    /// There is none; the task has ended.
    Failed(Failure),
}

/// All that a boot needs.
#[derive(Clone)]
pub(super) struct Boot {
    pub(super) config: MachineConfig,
    pub(super) files: MachineFiles,
    pub(super) accelerator_cache: PathBuf,
    pub(super) secret: Secret,
    pub(super) build: String,
}

impl Boot {
    /// Brings up the VM, or takes over the one that outlived an earlier supervisor.
    pub(super) async fn run(
        self,
        provider: Arc<dyn Provider>,
        events: VmEvents,
        reports: mpsc::UnboundedSender<BootReport>,
    ) {
        let last = match self.bring_up(&*provider, events, &reports).await {
            Ok((vm, emulated)) => BootReport::Launched { vm, emulated },
            Err(failure) => BootReport::Failed(failure),
        };
        // The owner task is gone when the receiver is; then nobody needs the report.
        let _ = reports.send(last);
    }

    async fn bring_up(
        &self,
        provider: &dyn Provider,
        events: VmEvents,
        reports: &mpsc::UnboundedSender<BootReport>,
    ) -> Result<(Box<dyn Vm>, bool), Failure> {
        let report = |report| {
            let _ = reports.send(report);
        };
        let plan = self.plan();
        if let Some(record) =
            VmRecord::read(&self.files.vm_record()).filter(|record| record.process.is_alive())
        {
            report(BootReport::Warning(
                "the machine was running without a supervisor and is taken over".to_owned(),
            ));
            let attached = provider.attach(&plan.paths, &record.process, events).await;
            // What runs its instructions was decided by another supervisor: the longer deadlines are safe.
            return attached
                .map(|vm| (vm, true))
                .map_err(|error| provider_failure(&error));
        }
        report(BootReport::Entered(Phase::Resolve));
        let request = ResolveRequest {
            cache: self.accelerator_cache.clone(),
            program_directories: Vec::new(),
        };
        let resolved = provider
            .resolve(&request)
            .await
            .map_err(|error| provider_failure(&error))?;
        for warning in &resolved.warnings {
            report(BootReport::Warning(warning.clone()));
        }
        report(BootReport::Entered(Phase::Seed));
        let seed = self.clone();
        let written = tokio::task::spawn_blocking(move || seed.write_seed()).await;
        written.map_err(|error| {
            Failure::new("The seed disk cannot be made").because(error.to_string())
        })??;
        report(BootReport::Entered(Phase::Launch));
        set_aside(&plan.paths.console_log);
        set_aside(&plan.first_boot_journal);
        let vm = provider
            .launch(&plan, &resolved, events)
            .await
            .map_err(|error| provider_failure(&error))?;
        let record = VmRecord {
            process: vm.identity().clone(),
            build: self.build.clone(),
        };
        if let Err(error) = record.write(&self.files.vm_record()) {
            // Without the record a surviving VM would not be found again: better no VM than one that gets lost.
            let mut failure = Failure::new("The record of the VM process cannot be written")
                .because(error.to_string());
            if let Err(error) = vm.kill().await {
                failure = failure.because(format!(
                    "And the VM, process {}, cannot be ended: {error}",
                    vm.identity().pid
                ));
            }
            return Err(failure);
        }
        Ok((vm, resolved.accelerator.is_emulation()))
    }

    fn plan(&self) -> LaunchPlan {
        LaunchPlan {
            name: self.config.name.to_string(),
            cpus: self.config.resources.cpus,
            memory_mib: self.config.resources.memory_mib,
            os_disk: self.files.os_disk(self.config.disk),
            os_disk_format: self.config.disk,
            seed: Some(self.files.seed()),
            ignition: Some(self.files.ignition()),
            link_port: VIRTIO_SERIAL_PORT.to_owned(),
            first_boot_journal: self.files.guest_journal(),
            paths: VmPaths {
                control_socket: self.files.qmp_socket(),
                link_socket: self.files.link_socket(),
                console_log: self.files.console_log(),
                vm_log: self.files.vm_log(),
            },
        }
    }

    fn write_seed(&self) -> Result<(), Failure> {
        let agent = find_agent(facts::architecture())?;
        let agent = fs_err::read(&agent).map_err(|error| {
            Failure::new("The guest's agent cannot be read").because(error.to_string())
        })?;
        let parameters = BootParameters {
            format: 1,
            machine: self.config.name.to_string(),
            secret: self.secret.clone(),
            user: self.config.user.clone(),
            uid: self.config.uid,
            rootful: self.config.rootful,
            carriers: vec![Carrier::VirtioSerial {
                port: VIRTIO_SERIAL_PORT.to_owned(),
            }],
            host_build: self.build.clone(),
        };
        let image = machine_provisioning::seed::image(&agent, &parameters).map_err(|error| {
            Failure::new("The seed disk cannot be made").because(error.to_string())
        })?;
        atomic::write(&self.files.seed(), &image, Access::Private).map_err(|error| {
            Failure::new("The seed disk cannot be written").because(error.to_string())
        })
    }
}

/// The agent for the guest's architecture: `machine-agent-ARCH` in `MACHINE_AGENT_DIR`, or else beside this
/// executable, or in `../libexec/machine` from there.
fn find_agent(architecture: Architecture) -> Result<PathBuf, Failure> {
    let file = format!("machine-agent-{}", architecture.rust_name());
    let directories = match std::env::var_os("MACHINE_AGENT_DIR") {
        Some(directory) => vec![PathBuf::from(directory)],
        None => agent_directories(std::env::current_exe().ok().as_deref()),
    };
    let found = directories
        .iter()
        .map(|directory| directory.join(&file))
        .find(|path| path.is_file());
    found.ok_or_else(|| {
        let places: Vec<String> = directories.iter().map(|directory| format!("`{}`", directory.display())).collect();
        Failure::new(format!("The guest's agent `{file}` is missing"))
            .because(format!("It was looked for in {}", places.join(" and ")))
            .hint("Install `machine` again, or set MACHINE_AGENT_DIR to the directory that holds the agent")
    })
}

fn agent_directories(executable: Option<&Path>) -> Vec<PathBuf> {
    let Some(beside) = executable.and_then(Path::parent) else {
        return Vec::new();
    };
    vec![beside.to_owned(), beside.join("../libexec/machine")]
}

/// Keeps the previous boot's file as `NAME.old`, so that what is read later is this boot's.
fn set_aside(path: &Path) {
    let mut old = path.as_os_str().to_owned();
    old.push(".old");
    if let Err(error) = fs_err::rename(path, PathBuf::from(old))
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(%error, "The previous boot's log could not be set aside");
    }
}

fn provider_failure(error: &ProviderError) -> Failure {
    let mut failure = Failure::new(error.to_string());
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        failure.detail.push(error.to_string());
        cause = error.source();
    }
    failure.hints = error.hints();
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_lies_beside_the_executable_or_in_libexec() {
        let found = agent_directories(Some(Path::new("/opt/m/bin/machine")));
        assert_eq!(
            found,
            [
                PathBuf::from("/opt/m/bin"),
                PathBuf::from("/opt/m/bin/../libexec/machine")
            ]
        );
        assert!(agent_directories(None).is_empty());
    }
}
