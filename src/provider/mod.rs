//! The boundary to the hypervisors: the only code that knows how a VM is run.
//!
//! A [`Provider`] turns a [`LaunchPlan`] into a running VM and hands back a [`Vm`], the handle through which the
//! machine's supervisor observes, ends and reaches it. What a provider can and cannot do is data, see
//! [`Capabilities`]; code outside of this module asks them and never the provider's kind.
//!
//! # Contract, which every provider keeps
//!
//! - **Order.** For a machine that is made, [`Provider::check_new`], then [`Provider::keep`]; for one that starts
//!   [`Provider::resolve`], then [`Provider::launch`] with what it returned. [`Provider::attach`] needs
//!   neither: it takes over a VM that another supervisor left behind.
//! - **Ownership.** The VM outlives its handle and its supervisor. Dropping a [`Vm`] ends no VM; it only lets go of it,
//!   so that the next supervisor can attach. At most one handle of a VM is held at a time. Its helpers live as long as
//!   the VM does, and are ended when it has.
//! - **Events.** Sent in the order in which they happened. [`VmEvent::Exited`] is sent once, and nothing after it.
//!   No other event is sure to come: a VM that is killed only exits, and a guest that closes and opens a carrier
//!   quickly may show as a second [`VmEvent::CarrierOpened`] alone. The state at the time of `attach` is sent as
//!   events, as if it had just come about.
//! - **Idempotence.** [`Vm::power_down`], [`Vm::quit`], [`Vm::kill`] and [`Vm::resume`] may be called in any state and
//!   any number of times. For a VM that has ended they succeed.
//! - **Cancellation.** Every future may be dropped at any point. A dropped `launch` leaves no VM behind; a dropped
//!   request to a [`Vm`] may or may not have reached it. Each process that a launch begins is [noted](launching) at once,
//!   so that one that nobody could drop is ended as well.
//! - **Bounds.** No call waits without a limit, except [`Vm::connect_link`], whose caller sets one.

pub mod apple;
pub mod error;
pub mod launching;
pub mod outside;
pub mod plan;
mod process;
pub mod qemu;
pub mod registry;
mod version;
pub mod vm;
pub mod wsl;

use std::path::Path;

use async_trait::async_trait;
use machine_host::process::ProcessIdentity;

pub use error::ProviderError;
pub use outside::{Kept, KeptRequest, KeptState, NewMachine};
pub use plan::{
    Accelerator, Capabilities, CarrierKind, FirstBootChannel, GuestIds, LaunchPlan, NetworkJoint,
    ResolveRequest, Resolved, SeedForm, SharePlan, ShareWay, StockImages, Survey, VmPaths,
    VsockWay,
};
pub use vm::{
    ExitReason, HelperProcess, HelperRole, LinkIo, LinkStream, PauseReason, Progress, Vm, VmEvent,
    VmEvents, VsockDevice,
};

use crate::machine::ProviderKind;

/// One hypervisor. The order of the calls and what else is promised is told in the [module's documentation](self).
#[async_trait]
pub trait Provider: Send + Sync + std::fmt::Debug {
    /// The word under which the registry has it.
    fn kind(&self) -> ProviderKind;

    /// What its VMs can do.
    fn capabilities(&self) -> &'static Capabilities;

    /// Finds the programs, their versions and the accelerator. Changes nothing but the cache file named by the
    /// request; quick when that is warm.
    async fn resolve(&self, request: &ResolveRequest) -> Result<Resolved, ProviderError>;

    /// Tells what this host offers, without regard to a machine. Like [`resolve`](Self::resolve) it starts no VM, and
    /// changes nothing but the cache file.
    async fn survey(&self, request: &ResolveRequest) -> Result<Survey, ProviderError>;

    /// Starts the VM. Returns when it can be controlled, which is before its guest has run much; fails when it ends
    /// before that, with the reason that its program gave.
    async fn launch(
        &self,
        plan: &LaunchPlan,
        resolved: &Resolved,
        events: VmEvents,
    ) -> Result<Box<dyn Vm>, ProviderError>;

    /// Takes over the VM that runs as `identity` and was launched with these paths, with the [helpers](Vm::helpers) that
    /// it had.
    async fn attach(
        &self,
        paths: &VmPaths,
        identity: &ProcessIdentity,
        helpers: &[HelperProcess],
        events: VmEvents,
    ) -> Result<Box<dyn Vm>, ProviderError>;

    /// Refuses a machine that this host could not run, before anything of it is made: what is missing, too old or
    /// switched off, a path that cannot be spoken, a name that is taken. Changes nothing, and need not find everything:
    /// what shows only when something is made is told by [`keep`](Self::keep) or by the launch.
    async fn check_new(&self, _machine: &NewMachine) -> Result<(), ProviderError> {
        Ok(())
    }

    /// Makes what is kept of a machine outside of its directory, from its disk. The machine is there and nobody starts it
    /// meanwhile. Where this is cut off, the launch brings it to its end; where it fails, [`discard`](Self::discard)
    /// undoes it.
    async fn keep(&self, _machine: &NewMachine, _os_disk: &Path) -> Result<(), ProviderError> {
        Ok(())
    }

    /// What is wrong with what is kept outside of machines' directories. Changes nothing.
    async fn kept(&self, _request: &KeptRequest<'_>) -> Result<Vec<Kept>, ProviderError> {
        Ok(Vec::new())
    }

    /// Removes what launches with this [`VmPaths::own_directory`] made outside of it, before it is removed. What is not
    /// noted there is not the machine's.
    async fn discard(&self, _own_directory: &Path) -> Result<(), ProviderError> {
        Ok(())
    }
}
