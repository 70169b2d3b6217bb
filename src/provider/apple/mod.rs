//! vfkit and krunkit, for machines on macOS: two programs with one way to be told what to do.
//!
//! Pure: [`flavour`] (what tells the two apart), [`argv`] (plan to arguments), [`rest`]'s questions and answers, [`locate`]'s
//! parsers. Doing: [`launch`], [`vm`], [`rest::client`].

mod argv;
mod flavour;
mod launch;
mod locate;
mod rest;
mod speakable;
mod vm;

use async_trait::async_trait;
use machine_host::facts::{self, Architecture};
use machine_host::process::ProcessIdentity;

use self::flavour::Flavour;
use crate::machine::ProviderKind;
use crate::provider::{
    Accelerator, Capabilities, HelperProcess, LaunchPlan, NewMachine, Provider, ProviderError,
    ResolveRequest, Resolved, ShareWay, Survey, Vm, VmEvents, VmPaths, VsockWay,
};

/// The tag of the folder with Rosetta; podman's images look for it by this one too (spec 4.4).
const ROSETTA: &str = "rosetta";

/// The tag of Rosetta's folder, or why there is none: Macs with a processor of Intel's need no translator, and have none.
fn rosetta(is_wanted: bool, architecture: Architecture) -> (Option<String>, Option<String>) {
    match (is_wanted, architecture) {
        (false, _) => (None, None),
        (true, Architecture::Aarch64) => (Some(ROSETTA.to_owned()), None),
        (true, _) => {
            let why = "`[machine] rosetta` is set, and only a Mac with a processor of Apple's has Rosetta for guests";
            (None, Some(why.to_owned()))
        }
    }
}

/// The provider that runs machines by one of the two programs.
#[derive(Clone, Copy, Debug)]
pub struct AppleProvider(&'static Flavour);

impl AppleProvider {
    /// Apple's Virtualization framework, by vfkit.
    pub fn vfkit() -> Self {
        Self(&flavour::VFKIT)
    }

    /// libkrun, by krunkit.
    pub fn krunkit() -> Self {
        Self(&flavour::KRUNKIT)
    }
}

#[async_trait]
impl Provider for AppleProvider {
    fn kind(&self) -> ProviderKind {
        self.0.kind
    }

    fn capabilities(&self) -> &'static Capabilities {
        &self.0.capabilities
    }

    async fn resolve(&self, request: &ResolveRequest) -> Result<Resolved, ProviderError> {
        let (program, version) = locate::find(self.0, &request.program_directories).await?;
        let has_translator = request.translator && self.0.capabilities.has_translator;
        let (translator, warning) = rosetta(has_translator, facts::architecture());
        Ok(Resolved {
            translator,
            program,
            version,
            accelerator: Accelerator::Hvf,
            firmware: None,
            // There is no other way to the agent, so nobody is asked whether there is to be one.
            vsock: Some(VsockWay::BuiltIn),
            shares: request.shares.then_some(ShareWay::BuiltIn),
            warnings: warning.into_iter().collect(),
        })
    }

    async fn survey(&self, request: &ResolveRequest) -> Result<Survey, ProviderError> {
        let (program, version) = locate::find(self.0, &request.program_directories).await?;
        Ok(Survey {
            program,
            version,
            accelerator: Accelerator::Hvf,
            remarks: Vec::new(),
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
        let vm = launch::launch(self.0, plan, resolved, events).await?;
        Ok(Box::new(vm))
    }

    async fn attach(
        &self,
        paths: &VmPaths,
        identity: &ProcessIdentity,
        _helpers: &[HelperProcess],
        events: VmEvents,
    ) -> Result<Box<dyn Vm>, ProviderError> {
        let vm = launch::attach(self.0, paths, identity, events).await?;
        Ok(Box::new(vm))
    }

    async fn check_new(&self, machine: &NewMachine) -> Result<(), ProviderError> {
        speakable::check_new(self.0, machine)?;
        locate::find(self.0, &machine.program_directories).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rosetta_is_for_processors_of_apples_and_for_who_wants_it() {
        assert_eq!(
            rosetta(true, Architecture::Aarch64),
            (Some("rosetta".to_owned()), None)
        );
        for architecture in [Architecture::Aarch64, Architecture::X86_64] {
            assert_eq!(rosetta(false, architecture), (None, None));
        }
        let (tag, why) = rosetta(true, Architecture::X86_64);
        assert!(tag.is_none() && why.is_some());
    }
}
