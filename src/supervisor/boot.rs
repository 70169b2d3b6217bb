//! The boot task: from a stopped machine to a VM process, one phase after another.
//!
//! It runs beside the owner task, so that a stop is heard while an accelerator is probed, and reports each step to it.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use machine_host::atomic::{self, Access};
use machine_host::facts;
use machine_images::ImageKind;
use machine_protocol::boot::{BRIDGE_SOCKET, BootParameters, Carrier, Share, VIRTIO_SERIAL_PORT};
use machine_protocol::secret::Secret;
use tokio::sync::{Notify, mpsc};

use super::data_disk;
use super::events::{Code, Failure, Phase};
use super::first_boot::FirstBootServer;
use super::network::{Carried, Outgoing};
use super::record::VmRecord;
use super::shares::{self, RunShare};
use super::ssh_port::{self, SshPort};
use super::vsock::Waiting;
use crate::agent::{self, AgentError};
use crate::connection::ConnectionsFile;
use crate::hostfacts::{self, Host};
use crate::link::{CarrierProgram, VsockEnd};
use crate::machine::DiskFormat;
use crate::machine::config::MachineConfig;
use crate::machine::deadlines;
use crate::provider::{
    CarrierKind, FirstBootChannel, LaunchPlan, NetworkJoint, Provider, ProviderError,
    ResolveRequest, SeedForm, Vm, VmEvents, VmPaths, launching,
};
use crate::store::Store;
use crate::store::layout::MachineFiles;

/// What the boot task reports.
pub(super) enum BootReport {
    /// A step begins.
    Entered(Phase),
    /// Something the user should know.
    Warning(String),
    /// There is a port for SSH.
    SshPort(SshPort),
    /// There is a VM; the task has ended.
    Launched {
        /// Its handle.
        vm: Box<dyn Vm>,
        /// Where its guest calls by vsock.
        vsock: Option<VsockEnd>,
        /// The host's end of the virtio-serial port, where it has one.
        serial: Option<PathBuf>,
        /// The program that carries the link, where it has one.
        program: Option<Box<CarrierProgram>>,
        /// What answers Ignition until the guest is up, where that is for the host to do.
        first_boot: Option<FirstBootServer>,
        /// The program that carries its packets, where there is one, and with what it was started.
        network: Option<Box<Carried>>,
        /// True when its instructions are, or may be, emulated.
        emulated: bool,
        /// True when it outlived an earlier supervisor.
        adopted: bool,
        /// True when it was up by then.
        was_up: bool,
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
    pub(super) store: Store,
    pub(super) connections: ConnectionsFile,
    /// Told when nobody wants the VM any more that is being made.
    pub(super) cut: Arc<Notify>,
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
            Ok(launched) => launched,
            Err(failure) => BootReport::Failed(failure),
        };
        launching::over(&self.files.launch_note());
        // The owner task is gone when the receiver is; then nobody needs the report.
        let _ = reports.send(last);
    }

    async fn bring_up(
        &self,
        provider: &dyn Provider,
        events: VmEvents,
        reports: &mpsc::UnboundedSender<BootReport>,
    ) -> Result<BootReport, Failure> {
        let report = |report| {
            let _ = reports.send(report);
        };
        let boot = self.clone();
        let port = tokio::task::spawn_blocking(move || {
            ssh_port::claim(&boot.store, &boot.connections, &boot.config)
        });
        match port.await {
            Ok(Ok(port)) => report(BootReport::SshPort(port)),
            // A machine without SSH is worth having.
            Ok(Err(failure)) => report(BootReport::Warning(failure.in_a_line())),
            Err(error) => return Err(Failure::new("No port for SSH").because(error.to_string())),
        }
        if let Some(record) =
            VmRecord::read(&self.files.vm_record()).filter(|record| record.process.is_alive())
        {
            report(BootReport::Warning(
                "a virtual machine that runs already is taken over".to_owned(),
            ));
            launching::over(&self.files.launch_note());
            let was_up = record.was_up;
            let network = record.network.map(Carried::found);
            let attached = provider
                .attach(&self.paths(), &record.process, &record.helpers, events)
                .await;
            let vsock = record.vsock.map(|vsock| vsock.reopen(&self.files));
            let vsock = vsock.transpose().unwrap_or_else(|error| {
                report(BootReport::Warning(format!(
                    "the machine goes on without vsock, over virtio-serial: {error}"
                )));
                None
            });
            let first_boot = if was_up {
                None
            } else {
                self.serve_first_boot(provider)?
            };
            // What runs its instructions was decided by another supervisor: the longer deadlines are safe.
            return attached
                .map(|vm| BootReport::Launched {
                    program: vm.carrier_program().map(Box::new),
                    vm,
                    vsock,
                    serial: self.serial(provider),
                    first_boot,
                    network: network.map(Box::new),
                    emulated: true,
                    adopted: true,
                    was_up,
                })
                .map_err(|error| provider_failure(&error));
        }
        VmRecord::sweep(&self.files.vm_record());
        // Two VMs on one disk would be the end of it.
        for left in launching::end(&self.files.launch_note()) {
            if tokio::time::timeout(deadlines::KILLED.limit, left.ended())
                .await
                .is_err()
            {
                let what = format!("Process {} of an earlier start does not end", left.pid);
                return Err(Failure::new(what).coded(Code::HostFiles));
            }
        }
        // A VM that is being made has nothing to lose; one that runs already is taken over whatever happens.
        tokio::select! {
            made = self.make(provider, events, reports) => made,
            () = self.cut.notified() => Err(Failure::new("The start was cut off")),
        }
    }

    /// Makes a VM. Dropped at any point it leaves none.
    async fn make(
        &self,
        provider: &dyn Provider,
        events: VmEvents,
        reports: &mpsc::UnboundedSender<BootReport>,
    ) -> Result<BootReport, Failure> {
        let report = |report| {
            let _ = reports.send(report);
        };
        let shares = shares::of(&self.config, &self.files);
        report(BootReport::Entered(Phase::Resolve));
        // Nobody makes one: this process has the run lock.
        self.store.clear_other_disks(&self.config.name);
        check_disk(&self.config, &self.files)?;
        let data_disk = data_disk::check(&self.store, &self.config, &self.files)?;
        let host = Host::of_this_process();
        let request = ResolveRequest {
            cache: self.accelerator_cache.clone(),
            program_directories: host.program_directories(&hostfacts::environment),
            vsock: self.config.vsock,
            shares: !shares.is_empty(),
            translator: host.wants_rosetta(),
        };
        if let Some(warning) = no_translator(&request, provider) {
            report(BootReport::Warning(warning));
        }
        let mut resolved = provider
            .resolve(&request)
            .await
            .map_err(|error| provider_failure(&error))?;
        for warning in &resolved.warnings {
            report(BootReport::Warning(warning.clone()));
        }
        let waiting = resolved.vsock.as_ref().map(Waiting::open).transpose();
        let waiting = waiting.unwrap_or_else(|error| {
            report(BootReport::Warning(format!(
                "the machine goes without vsock, over virtio-serial: {error}"
            )));
            resolved.vsock = None;
            None
        });
        let mut warnings = Vec::new();
        let mut outgoing = Outgoing::choose(
            &self.config,
            &provider.capabilities().network,
            &request.program_directories,
            &mut warnings,
        )?;
        for warning in warnings {
            report(BootReport::Warning(warning));
        }
        report(BootReport::Entered(Phase::Seed));
        let carriers = self.carriers(provider, waiting.as_ref());
        let guest_shares = shares::for_guest(&shares, resolved.shares.as_ref());
        let seed = self.clone();
        let translator = resolved.translator.clone();
        let loopback = outgoing.host_loopback();
        let form = provider.capabilities().seed;
        let written = tokio::task::spawn_blocking(move || {
            seed.write_seed(form, &host, loopback, carriers, guest_shares, translator)
        })
        .await;
        let warnings = written.map_err(|error| {
            Failure::new("The seed disk cannot be made")
                .coded(Code::HostFiles)
                .because(error.to_string())
        })??;
        for warning in warnings {
            report(BootReport::Warning(warning));
        }
        report(BootReport::Entered(Phase::Launch));
        set_aside(&self.files.console_log());
        set_aside(&self.files.guest_journal());
        set_aside(&self.files.vsock_log());
        set_aside(&self.files.network_log());
        let mut plan = self.plan(&shares, outgoing.join(&self.files)?, data_disk);
        plan.translator.clone_from(&resolved.translator);
        for share in &plan.shares {
            set_aside(&share.log);
        }
        let first_boot = self.serve_first_boot(provider)?;
        let launched = provider.launch(&plan, &resolved, events).await;
        let vm = launched.map_err(|error| {
            let failure = provider_failure(&error);
            let mut failure = data_disk::explain(&error, plan.data_disk.as_deref(), failure);
            failure.detail.extend(outgoing.explain(&error, &self.files));
            failure
        })?;
        let vsock = waiting.zip(vm.vsock());
        let vsock = vsock.and_then(|(waiting, device)| waiting.meet(device, &self.files));
        let (vsock, vsock_record) = vsock.unzip();
        let network = outgoing.launched(&self.files);
        let record = VmRecord {
            process: vm.identity().clone(),
            helpers: vm.helpers(),
            vsock: vsock_record,
            network: network.as_ref().map(Carried::record),
            build: self.build.clone(),
            was_up: false,
        };
        if let Err(error) = record.write(&self.files.vm_record()) {
            // Without the record a surviving VM would not be found again: better no VM than one that gets lost.
            let mut failure = Failure::new("The record of the VM process cannot be written")
                .coded(Code::HostFiles)
                .because(error.to_string());
            if let Err(error) = vm.kill().await {
                failure = failure.because(format!(
                    "And the VM, process {}, cannot be ended: {error}",
                    vm.identity().pid
                ));
            }
            return Err(failure);
        }
        Ok(BootReport::Launched {
            program: vm.carrier_program().map(Box::new),
            vm,
            vsock,
            serial: self.serial(provider),
            first_boot,
            network: network.map(Box::new),
            emulated: resolved.accelerator.is_emulation(),
            adopted: false,
            was_up: false,
        })
    }

    fn plan(
        &self,
        shares: &[RunShare],
        network: NetworkJoint,
        data_disk: Option<PathBuf>,
    ) -> LaunchPlan {
        LaunchPlan {
            name: self.config.name.to_string(),
            cpus: self.config.resources.cpus,
            memory_mib: self.config.resources.memory_mib,
            os_disk: self.files.os_disk(self.config.disk),
            os_disk_format: self.config.disk,
            os_base: self
                .config
                .base
                .map(|format| (self.files.base_disk(format), format)),
            data_disk,
            firmware_variables: self.files.firmware_variables(),
            seed: Some(self.files.seed()),
            ignition: Some(self.files.ignition()),
            link_port: VIRTIO_SERIAL_PORT.to_owned(),
            first_boot_journal: self.files.guest_journal(),
            network,
            shares: shares::for_provider(shares),
            translator: None,
            guest_ids: shares::guest_ids(&self.config),
            paths: self.paths(),
        }
    }

    /// The host's end of the virtio-serial port of this provider's VMs.
    fn serial(&self, provider: &dyn Provider) -> Option<PathBuf> {
        let carriers = provider.capabilities().carriers;
        let has_port = carriers.contains(&CarrierKind::VirtioSerial);
        has_port.then(|| self.files.link_socket())
    }

    /// What the guest is told of its ways to the host.
    fn carriers(&self, provider: &dyn Provider, vsock: Option<&Waiting>) -> Vec<Carrier> {
        let serial = self.serial(provider).map(|_| Carrier::VirtioSerial {
            port: VIRTIO_SERIAL_PORT.to_owned(),
        });
        let carriers = provider.capabilities().carriers;
        let bridge = Carrier::Bridge {
            socket: BRIDGE_SOCKET.to_owned(),
        };
        let bridge = carriers.contains(&CarrierKind::Program).then_some(bridge);
        vsock
            .map(Waiting::carrier)
            .into_iter()
            .chain(serial)
            .chain(bridge)
            .collect()
    }

    /// Begins to answer Ignition, where that is for the host to do.
    fn serve_first_boot(
        &self,
        provider: &dyn Provider,
    ) -> Result<Option<FirstBootServer>, Failure> {
        match provider.capabilities().first_boot {
            FirstBootChannel::FirmwareConfiguration | FirstBootChannel::Laid => Ok(None),
            FirstBootChannel::VsockHttp { port } => {
                let socket = self.paths().vsock_port_socket(port);
                let server = FirstBootServer::begin(&self.files.ignition(), &socket);
                server.map(Some).map_err(|error| {
                    Failure::new("The guest's first-boot configuration cannot be served")
                        .coded(Code::HostFiles)
                        .because(error.to_string())
                })
            }
        }
    }

    fn paths(&self) -> VmPaths {
        VmPaths {
            control_socket: self.files.qmp_socket(),
            link_socket: self.files.link_socket(),
            vsock_socket: self.files.vsock_socket(),
            vsock_device_socket: self.files.vsock_device_socket(),
            vsock_log: self.files.vsock_log(),
            network_socket: self.files.network_socket(),
            console_log: self.files.console_log(),
            vm_log: self.files.vm_log(),
            own_directory: self.files.provider_directory(),
            launch_note: self.files.launch_note(),
        }
    }

    /// Writes the seed with what the guest is to know of its host; what could not be found out is a warning.
    fn write_seed(
        &self,
        form: SeedForm,
        host: &Host,
        loopback: Option<Ipv4Addr>,
        carriers: Vec<Carrier>,
        shares: Vec<Share>,
        translator: Option<String>,
    ) -> Result<Vec<String>, Failure> {
        let mut gathered = host.gather(&self.config, loopback, &hostfacts::environment);
        gathered.facts.translator = translator;
        let loaded = agent::load(facts::architecture());
        let (_, agent) = loaded.map_err(|error| agent_failure(&error))?;
        let parameters = BootParameters {
            format: 1,
            machine: self.config.name.to_string(),
            secret: self.secret.clone(),
            user: self.config.user.clone(),
            uid: self.config.uid,
            rootful: self.config.rootful,
            carriers,
            host_build: self.build.clone(),
            facts: gathered.facts,
            shares,
            data_disk: data_disk::for_guest(&self.config),
        };
        let certificates = gathered.certificates.as_deref();
        let make = match form {
            SeedForm::Disk => machine_provisioning::seed::image,
            SeedForm::Archive => machine_provisioning::seed::archive,
        };
        let image = make(&agent, &parameters, certificates).map_err(|error| {
            Failure::new("The seed disk cannot be made")
                .coded(Code::HostFiles)
                .because(error.to_string())
        })?;
        atomic::write(&self.files.seed(), &image, Access::Private).map_err(|error| {
            Failure::new("The seed disk cannot be written")
                .coded(Code::HostFiles)
                .because(error.to_string())
        })?;
        Ok(gathered.warnings)
    }
}

/// Who wants Rosetta and has a provider without it would look for the reason in the guest.
fn no_translator(request: &ResolveRequest, provider: &dyn Provider) -> Option<String> {
    let is_missing = request.translator && !provider.capabilities().has_translator;
    is_missing.then(|| {
        format!(
            "`[machine] rosetta` is set, and machines of the provider `{}` have no Rosetta",
            provider.kind()
        )
    })
}

/// A disk that is gone or damaged is told before the hypervisor complains in its own words.
fn check_disk(config: &MachineConfig, files: &MachineFiles) -> Result<(), Failure> {
    let disk = files.os_disk(config.disk);
    if let Some(format) = config.base {
        let base = files.base_disk(format);
        let name = base.file_name().unwrap_or_default().to_string_lossy();
        // The base first: a disk without it is nothing.
        return check_image(config, &base, format).and_then(|()| {
            machine_images::recognise_layer(&disk, &name)
                .map(|_| ())
                .map_err(|error| unusable(config, &disk, error.to_string()))
        });
    }
    check_image(config, &disk, config.disk)
}

fn check_image(config: &MachineConfig, disk: &Path, format: DiskFormat) -> Result<(), Failure> {
    let expected = match format {
        DiskFormat::Qcow2 => machine_images::DiskFormat::Qcow2,
        DiskFormat::Raw => machine_images::DiskFormat::Raw,
        DiskFormat::Tar => {
            let tree = machine_images::open_tree(disk);
            return tree
                .map(drop)
                .map_err(|error| unusable(config, disk, error.to_string()));
        }
    };
    let cause = match machine_images::recognise(disk) {
        Ok(ImageKind::Disk { format, .. }) if format == expected => return Ok(()),
        // A blank raw disk is one all the same.
        Ok(ImageKind::Empty) if format == DiskFormat::Raw => return Ok(()),
        Ok(_) => format!("It is no {format} image"),
        Err(error) => error.to_string(),
    };
    Err(unusable(config, disk, cause))
}

fn unusable(config: &MachineConfig, disk: &Path, cause: String) -> Failure {
    let name = &config.name;
    Failure::new(format!("The machine's disk `{}` cannot be used", disk.display()))
        .coded(Code::HostFiles)
        .because(cause)
        .hint(format!(
            "Put the disk back, or make the machine anew: `machine rm -f {name}`, then `machine init {name}`"
        ))
}

fn agent_failure(error: &AgentError) -> Failure {
    Failure::new(error.to_string())
        .coded(Code::AgentMissing)
        .because(error.why())
        .hint(error.hint())
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
    let mut failure = Failure::new(error.to_string()).coded(Code::Provider);
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

    /// What the disk lies over is looked at as well, and it lies over nothing else.
    #[tokio::test]
    async fn a_disk_over_an_image_is_whole_or_named() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let mut image = vec![0; 1 << 20];
        image[510..512].copy_from_slice(b"\x55\xaa");
        fs_err::write(at("image"), image).unwrap();
        let files = MachineFiles::new(directory.path().to_owned(), directory.path().to_owned());
        let layer =
            machine_images::layer(&at("image"), &at("base.raw"), &at("disk.qcow2"), 0).await;
        if layer.unwrap().is_none() {
            // A file system that shares blocks has no such disks.
            return;
        }
        let config = MachineConfig {
            disk: DiskFormat::Qcow2,
            base: Some(DiskFormat::Raw),
            ..crate::store::testing::config("dev", "/m/dev")
        };
        let check = |config: &MachineConfig| {
            check_disk(config, &files).map_err(|failure| format!("{failure:?}"))
        };
        assert_eq!(check(&config), Ok(()));
        // A disk that names another file is refused where nobody made it so.
        let alone = MachineConfig {
            base: None,
            ..config.clone()
        };
        assert!(check(&alone).is_err());
        fs_err::rename(at("base.raw"), at("gone")).unwrap();
        let error = check(&config).unwrap_err();
        assert!(error.contains("base.raw"), "{error}");
    }
}
