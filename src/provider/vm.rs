//! The handle of a running VM, and what it reports.

use std::fmt;
use std::io;

use async_trait::async_trait;
use machine_host::process::ProcessIdentity;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

use crate::link::CarrierProgram;
use crate::provider::ProviderError;

/// Where a VM's events go. Unbounded, for a supervisor that waits for the answer to a request must not stop the
/// stream that brings it; hypervisors limit the rate of what a guest can cause.
pub type VmEvents = mpsc::UnboundedSender<VmEvent>;

/// A byte stream to the agent in the guest.
pub trait LinkIo: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> LinkIo for T {}

/// An owned [`LinkIo`].
pub type LinkStream = Box<dyn LinkIo>;

/// A running VM. What is promised about the calls is told in the [documentation of the provider](super).
#[async_trait]
pub trait Vm: Send + Sync + fmt::Debug {
    /// The process that is the VM; kept on disk to find it again.
    fn identity(&self) -> &ProcessIdentity;

    /// The processes beside it that belong to it; kept on disk as well, to end those that outlive it.
    fn helpers(&self) -> Vec<HelperProcess>;

    /// The guest's vsock device. Not known for a VM that was attached to.
    fn vsock(&self) -> Option<VsockDevice>;

    /// The program whose standard streams are a carrier, where the VM has one.
    fn carrier_program(&self) -> Option<CarrierProgram> {
        None
    }

    /// Connects to the host's end of the best carrier that needs no further help. The stream is there at once, whether
    /// or not a guest listens. A carrier takes one client: the stream of before must have been dropped, and what the
    /// guest sent to it last may arrive here.
    async fn connect_link(&self) -> io::Result<LinkStream>;

    /// Presses the guest's power button. That the guest does something about it is not sure.
    async fn power_down(&self) -> Result<(), ProviderError>;

    /// Ends the VM without asking the guest; its disks are flushed.
    async fn quit(&self) -> Result<(), ProviderError>;

    /// Ends the VM's process at once.
    async fn kill(&self) -> Result<(), ProviderError>;

    /// Lets a paused VM go on. Where the reason of the pause still holds it pauses again, with a new event.
    async fn resume(&self) -> Result<(), ProviderError>;

    /// What the guest has done so far, to tell a slow boot from a stuck one. It costs a request, so it is asked for
    /// only when a deadline is about to run out.
    async fn progress(&self) -> Result<Progress, ProviderError>;
}

/// A process beside a VM that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelperProcess {
    /// The process.
    #[serde(flatten)]
    pub process: ProcessIdentity,
    /// What it is for.
    #[serde(default)]
    pub role: HelperRole,
}

/// What a helper is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HelperRole {
    /// It is the guest's vsock device.
    #[default]
    Vsock,
    /// It shares the folder that the guest has here.
    Share(String),
}

/// A guest's vsock device, as far as its other end on the host depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VsockDevice {
    /// The kernel's: the guest calls from this context id.
    Kernel {
        /// The context id.
        cid: u32,
    },
    /// A program's: the guest's calls arrive at unix sockets.
    Program,
}

/// Counters that only grow while the guest does something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes read from all disks.
    pub read_bytes: u64,
    /// Bytes written to all disks.
    pub written_bytes: u64,
    /// Bytes that the guest wrote to its console.
    pub console_bytes: u64,
}

/// Something that happened to a VM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VmEvent {
    /// The machine was reset and boots again. The guest's side of every carrier is gone.
    Reset {
        /// Whether the guest did it, as in a reboot.
        by_guest: bool,
        /// The hypervisor's word for the cause.
        reason: String,
    },
    /// The guest has switched the machine off. `Exited` follows.
    PoweredDown,
    /// The VM stands still.
    Paused {
        /// Why.
        reason: PauseReason,
    },
    /// The VM goes on after a pause.
    Resumed,
    /// A program in the guest opened the carrier that [`Vm::connect_link`] connects to.
    CarrierOpened,
    /// That program closed it, or ended.
    CarrierClosed,
    /// Something that the user should know, though the VM goes on: one sentence.
    Warning(String),
    /// The guest cannot have a folder, or has it no longer, until the VM's next start.
    ShareLost {
        /// Its place in the guest.
        target: String,
        /// Why, in one sentence that names it.
        reason: String,
    },
    /// The guest's kernel panicked. The hypervisor ends the VM.
    Panicked,
    /// The VM has ended.
    Exited(ExitReason),
}

/// Why a VM stands still.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PauseReason {
    /// A write of the guest found no space on the host. It is repeated when the VM is resumed.
    HostDiskFull,
    /// A disk of the VM failed on the host.
    DiskError(String),
    /// Someone asked for it.
    Requested,
    /// The hypervisor's word for anything else.
    Other(String),
}

impl fmt::Display for PauseReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HostDiskFull => formatter.write_str("host disk full"),
            Self::DiskError(text) => write!(formatter, "disk error on the host: {text}"),
            Self::Requested => formatter.write_str("on request"),
            Self::Other(text) => formatter.write_str(text),
        }
    }
}

/// How a VM ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExitReason {
    /// The process's exit code. Not known for a VM that was attached to, nor for one that a signal ended.
    pub code: Option<i32>,
    /// The signal that ended the process, where known.
    pub signal: Option<i32>,
    /// The hypervisor's word for the cause of an orderly end.
    pub shutdown: Option<String>,
    /// Whether it ended at the guest's or our own wish, as far as the hypervisor said.
    pub wished: bool,
    /// The last lines that it wrote to its error log.
    pub last_lines: Vec<String>,
}

impl ExitReason {
    /// Whether the VM ended in good order, at the guest's or our own wish.
    pub fn is_orderly(&self) -> bool {
        self.signal.is_none() && self.code.unwrap_or(0) == 0 && self.wished
    }
}

impl fmt::Display for ExitReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.signal, self.code, &self.shutdown) {
            (Some(signal), _, _) => write!(formatter, "ended by signal {signal}"),
            (None, Some(code), _) if code != 0 => write!(formatter, "ended with exit code {code}"),
            (None, _, Some(shutdown)) => write!(formatter, "ended in good order ({shutdown})"),
            (None, Some(code), None) => write!(formatter, "ended with exit code {code}"),
            (None, None, None) => formatter.write_str("ended, how is not known"),
        }
    }
}
