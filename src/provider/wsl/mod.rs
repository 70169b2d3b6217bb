//! WSL, as far as one talks to it: a program that is asked, and distributions that it keeps.
//!
//! Pure: [`argv`] (what is asked), [`answer`] (what it says, in whatever language and encoding), and the decision what to
//! do with a distribution that is or is not there ([`distro`]). Doing: [`run`], one call with its deadline.
//!
//! A machine is a distribution: it is imported from the tar file that stands for its disk when the machine is made, or by
//! the first launch where that was cut off. Its VM is the process that keeps the distribution alive ([`launch`], [`vm`]).
//! [`kept`] tells what is wrong with distributions.

pub mod answer;
pub mod argv;
pub mod distro;
mod error;
mod kept;
mod launch;
pub mod run;
mod vm;

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use machine_host::process::ProcessIdentity;
use machine_host::program;
use machine_images::ImageForm;

use self::distro::Distro;
pub use self::error::WslError;
pub use self::run::Wsl;
use crate::machine::{DiskFormat, Egress, NetworkOffer, NetworkSocket, ProviderKind};
use crate::provider::{
    Accelerator, Capabilities, CarrierKind, FirstBootChannel, HelperProcess, Kept, KeptRequest,
    LaunchPlan, NewMachine, Provider, ProviderError, ResolveRequest, Resolved, SeedForm, ShareWay,
    StockImages, Survey, Vm, VmEvents, VmPaths,
};

/// The name of the program.
const PROGRAM: &str = "wsl";

/// What WSL does about folders.
const FOLDERS: &str =
    "WSL shows the drives of the host below `/mnt` of the guest, and folders at no other place";

/// What gives all distributions their CPUs and memory.
const RESOURCES: &str = "all distributions share what WSL takes: set `processors` and `memory` below `[wsl2]` in `.wslconfig` of your home, \
     then run `wsl --shutdown`, which ends all of them";

static CAPABILITIES: Capabilities = Capabilities {
    carriers: &[CarrierKind::Program],
    disk_formats: &[DiskFormat::Tar],
    stock_images: StockImages {
        platform: "wsl",
        disktype: "wsl",
        formats: &["tar.zst", "tar.xz", "tar.gz"],
        form: ImageForm::Tree,
    },
    can_layer_disks: false,
    first_boot: FirstBootChannel::Laid,
    network: NetworkOffer {
        egress: &[Egress::BuiltIn],
        socket: NetworkSocket::Stream,
        own_addresses: true,
    },
    names_disks: false,
    seed: SeedForm::Archive,
    has_first_boot_journal: false,
    has_console_log: false,
    has_translator: false,
    can_attach: true,
    can_suspend: false,
    shared_resources: Some(RESOURCES),
};

/// The provider that runs machines as distributions of WSL.
#[derive(Clone, Copy, Debug, Default)]
pub struct WslProvider;

impl WslProvider {
    /// The provider.
    pub fn new() -> Self {
        Self
    }
}

/// The program and its version, which will do.
async fn find(directories: &[PathBuf]) -> Result<(PathBuf, String), WslError> {
    let program = program::find(PROGRAM, directories).ok_or(WslError::NotInstalled)?;
    let version = Wsl::new(&program, &[]).version().await?;
    Ok((program, version))
}

#[async_trait]
impl Provider for WslProvider {
    fn kind(&self) -> ProviderKind {
        ProviderKind::Wsl
    }

    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    async fn resolve(&self, request: &ResolveRequest) -> Result<Resolved, ProviderError> {
        let (program, version) = find(&request.program_directories).await?;
        let folders = request.shares.then(|| FOLDERS.to_owned());
        Ok(Resolved {
            translator: None,
            program,
            version,
            accelerator: Accelerator::Whpx,
            firmware: None,
            vsock: None,
            shares: None,
            warnings: folders.into_iter().collect(),
        })
    }

    async fn survey(&self, request: &ResolveRequest) -> Result<Survey, ProviderError> {
        let (program, version) = find(&request.program_directories).await?;
        Wsl::new(&program, &[]).check_platform().await?;
        Ok(Survey {
            program,
            version,
            accelerator: Accelerator::Whpx,
            remarks: vec![FOLDERS.to_owned()],
            shares: ShareWay::BuiltIn,
            share_remark: None,
        })
    }

    async fn launch(
        &self,
        plan: &LaunchPlan,
        resolved: &Resolved,
        events: VmEvents,
    ) -> Result<Box<dyn Vm>, ProviderError> {
        let vm = launch::launch(plan, resolved, events).await?;
        Ok(Box::new(vm))
    }

    async fn attach(
        &self,
        paths: &VmPaths,
        identity: &ProcessIdentity,
        _helpers: &[HelperProcess],
        events: VmEvents,
    ) -> Result<Box<dyn Vm>, ProviderError> {
        let vm = launch::attach(paths, identity, events).await?;
        Ok(Box::new(vm))
    }

    async fn check_new(&self, machine: &NewMachine) -> Result<(), ProviderError> {
        let (program, _) = find(&machine.program_directories).await?;
        let wsl = Wsl::new(&program, &[]);
        wsl.check_platform().await?;
        let name = distro::own_name(&machine.own_directory, &machine.name);
        if wsl.is_registered(&name).await? {
            return Err(WslError::Foreign(name).into());
        }
        Ok(())
    }

    async fn keep(&self, machine: &NewMachine, os_disk: &Path) -> Result<(), ProviderError> {
        let (program, _) = find(&machine.program_directories).await?;
        let distro = Distro::of(&machine.own_directory, &machine.name)?;
        distro.ensure(&Wsl::new(&program, &[]), os_disk).await?;
        Ok(())
    }

    async fn kept(&self, request: &KeptRequest<'_>) -> Result<Vec<Kept>, ProviderError> {
        let Some(program) = program::find(PROGRAM, &request.program_directories) else {
            return Ok(Vec::new());
        };
        let names = Wsl::new(&program, &[]).registered().await?;
        Ok(kept::judge(request, &names)?)
    }

    async fn discard(&self, own_directory: &Path) -> Result<(), ProviderError> {
        let Some((distro, noted)) = Distro::noted(own_directory)? else {
            return Ok(());
        };
        // It may have moved since.
        let program = Some(noted.clone()).filter(|program| program.exists());
        let program = program.or_else(|| program::find(PROGRAM, &[]));
        let wsl = Wsl::new(&program.unwrap_or(noted), &[]);
        distro.remove(&wsl).await?;
        Ok(())
    }
}
