//! What can go wrong with a hypervisor.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::machine::ProviderKind;
use crate::provider::ExitReason;
use crate::provider::wsl::WslError;

/// A failure at the boundary to the hypervisor. [`hints`](Self::hints) says what to do about it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// A provider that this host or this build does not have.
    #[error("unsupported virtualization provider: `{0}`")]
    Unsupported(ProviderKind),

    /// A program is not installed.
    #[error("`{program}` was not found")]
    ProgramMissing {
        /// Its name.
        program: String,
        /// How to install it here.
        install: String,
    },

    /// A program would not say what it is.
    #[error("`{}` did not tell its version", .program.display())]
    VersionUnknown {
        /// The program.
        program: PathBuf,
        /// What it said instead, or why it did not start.
        #[source]
        source: io::Error,
        /// What to do about it, where that is known.
        mend: Option<String>,
    },

    /// A program is too old.
    #[error("`{}` is {name} {found}, and at least {minimum} is needed", .program.display())]
    TooOld {
        /// The program.
        program: PathBuf,
        /// What it calls itself.
        name: &'static str,
        /// How to install a newer one here.
        install: String,
        /// Its version.
        found: String,
        /// The version that is needed.
        minimum: String,
    },

    /// A program has no way to be told of a path.
    #[error("`{program}` cannot be told of the path `{}`: {why}", .path.display())]
    Unspeakable {
        /// The program.
        program: &'static str,
        /// The path.
        path: PathBuf,
        /// What is in it.
        why: String,
    },

    /// There is no firmware for this architecture.
    #[error("The UEFI firmware for {architecture} was not found")]
    FirmwareMissing {
        /// The architecture of the guest.
        architecture: &'static str,
        /// How to install it here.
        install: String,
    },

    /// A socket for the VM could not be made.
    #[error("The socket `{}` could not be made", .path.display())]
    Socket {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },

    /// The program that carries the guest's packets is not there.
    #[error("The program that carries the machine's network cannot be reached at `{}`", .path.display())]
    NetworkSilent {
        /// The machine.
        machine: String,
        /// Where it should listen.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },

    /// A file that the VM writes to could not be opened.
    #[error("The log file `{}` could not be opened", .path.display())]
    Log {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },

    /// The program could not be started.
    #[error("`{}` could not be started", .program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },

    /// A disk is in use by another process.
    #[error("The disk `{}` is in use by another process", .disk.display())]
    DiskInUse {
        /// The disk.
        disk: PathBuf,
        /// What the program said last.
        reason: ExitReason,
    },

    /// The program ended at once.
    #[error("`{}` {reason} before the machine ran{}", .program.display(), .reason.last_lines.last().map(|line| format!(": {line}")).unwrap_or_default())]
    EndedAtOnce {
        /// The program.
        program: PathBuf,
        /// How.
        reason: ExitReason,
    },

    /// There is no such process any more.
    #[error("The virtual machine with process number {pid} has ended")]
    Gone {
        /// The number it had.
        pid: u32,
    },

    /// The monitor did not answer in time.
    #[error("The monitor `{}` did not answer within {seconds} s", .path.display())]
    MonitorSilent {
        /// Its socket.
        path: PathBuf,
        /// The limit.
        seconds: u64,
    },

    /// The monitor cannot be reached.
    #[error("The monitor of the virtual machine cannot be reached")]
    Monitor {
        /// Why.
        #[source]
        source: io::Error,
    },

    /// The monitor refused a request.
    #[error("The virtual machine refused `{command}`: {description}")]
    Refused {
        /// The request.
        command: &'static str,
        /// The hypervisor's words.
        description: String,
    },

    /// WSL did not do what it was asked.
    #[error(transparent)]
    Wsl(#[from] WslError),

    /// A signal could not be sent.
    #[error("The virtual machine with process number {pid} could not be ended")]
    Kill {
        /// Its number.
        pid: u32,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl ProviderError {
    /// What the user can do, a line each, without the word "hint".
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::ProgramMissing { install, .. } | Self::FirmwareMissing { install, .. } => {
                vec![install.clone()]
            }
            Self::TooOld { install, .. } => vec![install.clone()],
            Self::VersionUnknown { mend, .. } => mend.iter().cloned().collect(),
            Self::Unspeakable { .. } => vec![
                "Put it where no folder has such a character in its name; `MACHINE_HOME` moves all machines"
                    .to_owned(),
            ],
            Self::NetworkSilent { machine, .. } => vec![format!(
                "Choose another network with `machine set --network auto {machine}`"
            )],
            Self::DiskInUse { .. } => vec![
                "A virtual machine that an earlier start left behind may still run; \
                 `pgrep -a qemu-system` shows it"
                    .to_owned(),
            ],
            Self::EndedAtOnce { program, reason } if lacks_entitlement(reason) => vec![format!(
                "`{}` was not signed so that it may run virtual machines; install it anew from where its makers have it",
                program.display()
            )],
            Self::EndedAtOnce { reason, .. } if reason.last_lines.len() > 1 => {
                reason.last_lines.clone()
            }
            Self::Wsl(error) => error.hints(),
            Self::MonitorSilent { .. } => vec![
                "Another process may hold the monitor; a second supervisor of this machine would"
                    .to_owned(),
            ],
            _ => Vec::new(),
        }
    }
}

/// Whether Apple's framework refused a program that was not signed for it. vfkit passes its words on, which name the
/// entitlement (Apple's "Entitlements: com.apple.security.virtualization").
fn lacks_entitlement(reason: &ExitReason) -> bool {
    let names = |line: &String| line.contains("com.apple.security.virtualization");
    reason.last_lines.iter().any(names)
}
