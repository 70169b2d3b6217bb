//! QEMU, for machines on Linux.
//!
//! Pure: [`argv`] (plan to arguments), [`events`] (the monitor's events to ours), [`locate`]'s parsers, [`probe`]'s
//! firmware and ladder. Doing: [`launch`], [`vm`], [`qmp`]. What depends on the host's system lies in `platform`.

pub mod argv;
mod events;
mod exit;
mod helper;
mod inherited;
mod launch;
mod locate;
mod options;
mod platform;
pub mod probe;
mod qmp;
mod shares;
mod virtiofs;
mod vm;
mod vsock;

use std::path::PathBuf;

use async_trait::async_trait;
use machine_host::process::ProcessIdentity;
use machine_host::{facts, program};
use machine_images::ImageForm;

use crate::machine::{DiskFormat, Egress, NetworkOffer, NetworkSocket, ProviderKind};
use crate::provider::{
    Accelerator, Capabilities, CarrierKind, FirstBootChannel, HelperProcess, LaunchPlan, Provider,
    ProviderError, ResolveRequest, Resolved, SeedForm, ShareWay, StockImages, Survey, Vm, VmEvents,
    VmPaths,
};

static CAPABILITIES: Capabilities = Capabilities {
    carriers: &[CarrierKind::Vsock, CarrierKind::VirtioSerial],
    disk_formats: &[DiskFormat::Qcow2, DiskFormat::Raw],
    stock_images: StockImages {
        platform: "qemu",
        disktype: "qemu",
        formats: &["qcow2.xz", "qcow2.gz"],
        form: ImageForm::Disk,
    },
    can_layer_disks: true,
    first_boot: FirstBootChannel::FirmwareConfiguration,
    network: NetworkOffer {
        egress: &[Egress::BuiltIn, Egress::Passt, Egress::Gvproxy],
        socket: NetworkSocket::Stream,
        own_addresses: false,
    },
    names_disks: true,
    seed: SeedForm::Disk,
    has_first_boot_journal: true,
    has_console_log: true,
    has_translator: false,
    can_attach: true,
    can_suspend: false,
    shared_resources: None,
};

/// The provider that runs machines in QEMU.
#[derive(Clone, Copy, Debug, Default)]
pub struct QemuProvider(());

impl QemuProvider {
    /// The provider; it holds nothing.
    pub fn new() -> Self {
        Self::default()
    }
}

/// What every machine needs.
struct Found {
    program: PathBuf,
    version: String,
    firmware: Option<PathBuf>,
    accelerator: Accelerator,
    warnings: Vec<String>,
}

async fn find(request: &ResolveRequest) -> Result<Found, ProviderError> {
    let architecture = facts::architecture();
    let program = locate::program(architecture, &request.program_directories)?;
    let firmware = locate::firmware(architecture, &program)?;
    let mut cache = probe::cache::Cache::load(&request.cache, &program);
    let version = if let Some(version) = cache.version() {
        version.to_owned()
    } else {
        let version = locate::version(&program).await?;
        cache.set_version(&version);
        version
    };
    locate::check_version(&program, &version)?;
    let choice = probe::choose(&program, architecture, platform::ACCELERATORS, &mut cache).await;
    cache.store();
    let mut warnings = choice.warnings;
    if choice.accelerator == Accelerator::Tcg {
        warnings.extend(locate::emulation_warning(&version, architecture));
    }
    Ok(Found {
        program,
        version,
        firmware,
        accelerator: choice.accelerator,
        warnings,
    })
}

#[async_trait]
impl Provider for QemuProvider {
    fn kind(&self) -> ProviderKind {
        ProviderKind::Qemu
    }

    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    async fn resolve(&self, request: &ResolveRequest) -> Result<Resolved, ProviderError> {
        let Found {
            program,
            version,
            firmware,
            accelerator,
            mut warnings,
        } = find(request).await?;
        let (vsock, warning) =
            vsock::choose(request.vsock, machine_host::vsock::is_usable, |name| {
                program::find(name, &request.program_directories)
            });
        warnings.extend(warning);
        let mut shares = None;
        if request.shares {
            let (way, warning) = virtiofs::choose(&request.program_directories).await;
            shares = Some(way);
            warnings.extend(warning.map(|(why, mend)| format!("{why}; {mend}")));
        }
        Ok(Resolved {
            translator: None,
            program,
            version,
            accelerator,
            firmware,
            vsock,
            shares,
            warnings,
        })
    }

    async fn survey(&self, request: &ResolveRequest) -> Result<Survey, ProviderError> {
        let found = find(request).await?;
        let (shares, worse) = virtiofs::choose(&request.program_directories).await;
        // What the user lacks makes a difference to virtiofs alone.
        let share_remark = match shares {
            ShareWay::Virtiofs(_) => virtiofs::lack(),
            ShareWay::NineP | ShareWay::BuiltIn => worse,
        };
        Ok(Survey {
            program: found.program,
            version: found.version,
            accelerator: found.accelerator,
            remarks: found.warnings,
            shares,
            share_remark,
        })
    }

    async fn launch(
        &self,
        plan: &LaunchPlan,
        resolved: &Resolved,
        events: VmEvents,
    ) -> Result<Box<dyn Vm>, ProviderError> {
        let vm = launch::launch(plan, resolved, facts::architecture(), events).await?;
        Ok(Box::new(vm))
    }

    async fn attach(
        &self,
        paths: &VmPaths,
        identity: &ProcessIdentity,
        helpers: &[HelperProcess],
        events: VmEvents,
    ) -> Result<Box<dyn Vm>, ProviderError> {
        let vm = launch::attach(paths, identity, helpers, events).await?;
        Ok(Box::new(vm))
    }
}
