//! `ssh`: the command line of the host's SSH client for a machine.
//!
//! The client sees exactly one key, one host key and one address. Nothing of the user's own SSH configuration takes
//! part: a `ControlMaster` would lead to another machine that had the port before, an agent with many keys would be
//! shut out after six of them, and a `ProxyCommand` for all hosts would leave this one.

#[cfg(unix)]
#[path = "ssh/unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "ssh/windows.rs"]
mod platform;
#[cfg(test)]
mod tests;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use thiserror::Error;

pub(super) use self::platform::split_at_colon;
use crate::machine::{MachineName, Status, deadlines};
use crate::ops::addressee::addressee;
use crate::store::{MachineFiles, Store, StoreError, StoredMachine};

/// Where the guest's SSH server is reached.
pub(super) const HOST: &str = "127.0.0.1";

/// A program of the host with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// The program's name, looked up in the user's path.
    pub program: &'static str,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

impl Invocation {
    /// The program with its arguments and nothing else set.
    pub fn command(&self) -> Command {
        let mut command = Command::new(self.program);
        command.args(&self.arguments);
        command
    }
}

/// What a user asks of `ssh`.
#[derive(Clone, Copy, Debug)]
pub struct SshRequest<'a> {
    /// The user in the guest; none is the one of the machine's mode.
    pub user: Option<&'a str>,
    /// The machine's name, where the first word is one, and the command.
    pub words: &'a [OsString],
}

/// An SSH session that can begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshSession {
    /// The machine.
    pub name: MachineName,
    /// Without a command the session is the user's own.
    pub interactive: bool,
    /// The client.
    pub invocation: Invocation,
}

/// Why there is no SSH session.
#[derive(Debug, Error)]
pub enum SshError {
    /// There is no such machine (podman's text).
    #[error("vm {name} not found: {name}: VM does not exist")]
    NotFound {
        /// What was asked for.
        name: String,
        /// What the store says, for its hints.
        store: Box<StoreError>,
    },
    /// The machine cannot be read.
    #[error(transparent)]
    Store(Box<StoreError>),
    /// It does not run (spec 1.4.9).
    #[error("vm \"{name}\" is not running")]
    NotRunning {
        /// The machine.
        name: MachineName,
        /// What it does instead.
        status: Status,
    },
    /// It was started by a program that forwarded no SSH.
    #[error("Machine `{name}` has no SSH port yet")]
    NoPort {
        /// The machine.
        name: MachineName,
    },
}

impl SshError {
    /// What the user can do about it.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::NotFound { store, .. } | Self::Store(store) => store.hints(),
            Self::NotRunning { name, status } => vec![match status {
                Status::Starting => format!("wait until it is up: machine start {name}"),
                Status::Unmanaged => {
                    format!("nobody looks after it; take it over: machine start {name}")
                }
                Status::Busy => "try again in a moment".to_owned(),
                _ => format!("start it: machine start {name}"),
            }],
            Self::NoPort { name } => vec![format!("it gets one: machine restart {name}")],
        }
    }
}

/// Finds the machine and builds the client's command line. `probe` tells what a machine is doing.
pub fn session(
    store: &Store,
    request: SshRequest<'_>,
    probe: impl Fn(&MachineFiles) -> Status,
) -> Result<SshSession, SshError> {
    let (machine, command) = addressee(store, request.words).map_err(SshError::from_store)?;
    let name = machine.config.name.clone();
    let mut arguments = options(&machine, request.user, "-p", probe)?;
    arguments.push(HOST.into());
    if command.is_empty() {
        arguments.push("-t".into());
    } else {
        // As podman has it: the client sees the words as they are, and the guest's shell reads them joined by blanks.
        arguments.extend_from_slice(command);
    }
    Ok(SshSession {
        name,
        interactive: command.is_empty(),
        invocation: Invocation {
            program: "ssh",
            arguments,
        },
    })
}

impl From<StoreError> for SshError {
    fn from(error: StoreError) -> Self {
        Self::Store(Box::new(error))
    }
}

impl SshError {
    /// What the store says, in the words of these commands.
    fn from_store(error: StoreError) -> Self {
        match &error {
            StoreError::NotFound { name } => Self::NotFound {
                name: name.clone(),
                store: Box::new(error),
            },
            _ => error.into(),
        }
    }
}

/// The options that both SSH programs take, for a machine that runs. `port` is the program's own option for a port.
pub(super) fn options(
    machine: &StoredMachine,
    user: Option<&str>,
    port: &str,
    probe: impl Fn(&MachineFiles) -> Status,
) -> Result<Vec<OsString>, SshError> {
    let (config, files) = (&machine.config, &machine.files);
    let status = probe(files);
    if !matches!(
        status,
        Status::Running | Status::Degraded { .. } | Status::Stopping
    ) {
        let name = config.name.clone();
        return Err(SshError::NotRunning { name, status });
    }
    if config.ssh_port == 0 {
        let name = config.name.clone();
        return Err(SshError::NoPort { name });
    }
    let default_user = if config.rootful { "root" } else { &config.user };
    let user = user.filter(|user| !user.is_empty()).unwrap_or(default_user);
    let patience = deadlines::SSH_CONNECT.limit.as_secs();
    let settings = [
        // The user, not as a word of its own: it could look like an option.
        setting("User", user),
        setting("IdentityFile", &file(files.ssh_client_key())?),
        "IdentitiesOnly=yes".to_owned(),
        "IdentityAgent=none".to_owned(),
        // The guest's host key is known since the machine was made, under its name, so nothing is ever asked or learnt.
        format!("HostKeyAlias={}", config.name),
        "StrictHostKeyChecking=yes".to_owned(),
        setting("UserKnownHostsFile", &file(files.known_hosts())?),
        format!("GlobalKnownHostsFile={}", platform::NULL_DEVICE),
        "UpdateHostKeys=no".to_owned(),
        "CheckHostIP=no".to_owned(),
        "BatchMode=yes".to_owned(),
        format!("ConnectTimeout={patience}"),
        "LogLevel=ERROR".to_owned(),
        "SetEnv=LC_ALL=".to_owned(),
    ];
    // No file of settings, neither the user's nor the system's.
    let mut arguments: Vec<OsString> = vec!["-F".into(), "none".into()];
    for setting in settings {
        arguments.push("-o".into());
        arguments.push(setting.into());
    }
    arguments.push(port.into());
    arguments.push(config.ssh_port.to_string().into());
    Ok(arguments)
}

/// A setting whose value may hold blanks, quotes and backslashes.
fn setting(key: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
    format!("{key}=\"{value}\"")
}

/// A path as the value of a setting, in which a percent sign begins a token.
fn file(path: PathBuf) -> Result<String, StoreError> {
    match path.to_str() {
        Some(text) => Ok(text.replace('%', "%%")),
        None => Err(StoreError::NotUnicode(path)),
    }
}

/// Whether a user's text is a path of this host whatever colon is in it (spec 1.4.10).
pub(super) fn is_local(text: &OsStr) -> bool {
    let bytes = text.as_encoded_bytes();
    bytes.starts_with(b".") || bytes.starts_with(b"/") || Path::new(text).is_absolute()
}
