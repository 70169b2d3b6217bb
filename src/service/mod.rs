//! What of the system looks after a supervisor: starts it again when it has died, and tells it in time that the host goes
//! down or that its user has logged out.
//!
//! On Linux that is systemd's user manager (`platform/linux.rs`), on macOS launchd (`platform/macos.rs`), on Windows its Task
//! Scheduler (`platform/windows.rs`) where that is asked for: by default a supervisor there is a process of its own, as it
//! is on a Linux without systemd.

mod platform;

use std::ffi::OsString;
use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use thiserror::Error;

use crate::machine::deadlines;

/// Whether services of the system are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wanted {
    /// Where the system has them, and they do it well.
    #[default]
    Auto,
    /// Where the system has them at all.
    Always,
    /// Never.
    Off,
}

/// A supervisor as a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its name, which is one of this user alone: see [`name`].
    pub name: String,
    /// What it does, for people.
    pub description: String,
    /// The program and its arguments.
    pub command: Vec<OsString>,
    /// Where it runs.
    pub directory: PathBuf,
    /// What it prints is appended here.
    pub log: PathBuf,
    /// How long it may take to end in order.
    pub stop: Duration,
    /// The exit code with which it has said why it ends, after which it is not started again.
    pub told: u8,
}

/// A VM and the programs beside it, which outlive their supervisor and end after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enclosure {
    /// The supervisor's service.
    pub service: String,
    /// The processes.
    pub pids: Vec<u32>,
}

/// Why the system did not do what was asked of it.
#[derive(Debug, Error)]
pub enum ServiceError {
    /// Its program cannot be run, or does not end.
    #[error("`{program}` cannot be run")]
    Run {
        /// The program.
        program: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It refused.
    #[error("`{program}` refused: {reason}")]
    Refused {
        /// The program.
        program: &'static str,
        /// Its words.
        reason: String,
    },
}

/// Whoever looks after the supervisors of this user.
#[async_trait]
pub trait Services: Debug + Send + Sync {
    /// Starts a service; it has said that it is there ([`ready`]) when this returns.
    async fn start(&self, service: &Service) -> Result<(), ServiceError>;

    /// Keeps a VM apart from its supervisor's service, so that it is ended after it. One that is kept already is no error.
    async fn enclose(&self, enclosure: &Enclosure) -> Result<(), ServiceError>;

    /// Takes away what kept the VM of this supervisor's service, if nothing runs in it any more.
    async fn release(&self, service: &str) -> Result<(), ServiceError>;

    /// A directory for sockets that are there for a moment.
    fn directory(&self) -> &Path;

    /// What the user should know, as an instruction.
    fn hint(&self) -> Option<String>;
}

/// The services of this host, as the environment of this process tells.
pub fn of_this_host(wanted: Wanted) -> Option<Box<dyn Services>> {
    match wanted {
        Wanted::Off => None,
        Wanted::Auto if !platform::BY_DEFAULT => None,
        Wanted::Auto | Wanted::Always => platform::find(&|name| std::env::var_os(name)),
    }
}

/// Tells whoever started this process as a service that it is there; without one nobody is told.
pub fn ready() {
    platform::ready();
}

/// The name of a machine's service. One with files elsewhere (`MACHINE_HOME`) is told apart by `place`.
pub fn name(machine: &str, place: Option<u32>) -> String {
    match place {
        None => format!("machine-{machine}"),
        Some(place) => format!("machine-{machine}-{place:08x}"),
    }
}

/// How long a supervisor may take to stop its machine in order.
pub fn stop_limit() -> Duration {
    deadlines::STOP_TOTAL.limit + deadlines::SUPERVISOR_EXIT.limit
}
