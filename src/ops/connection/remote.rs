//! Asking another host, by the user's own `ssh`, where its engine's socket is.

#[cfg(unix)]
#[path = "unix.rs"]
pub(super) mod platform;
#[cfg(windows)]
#[path = "windows.rs"]
pub(super) mod platform;

use std::process::Stdio;

use machine_host::program;
use serde_json::Value;
use thiserror::Error;
use tokio::process::Command;

use crate::connection::uri::Uri;
use crate::machine::deadlines;

/// How many lines of ssh's complaints are told.
const LINES: usize = 5;

/// A host that SSH leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteHost {
    host: String,
    user: Option<String>,
    port: String,
    identity: Option<String>,
}

/// Why the other host did not say.
#[derive(Debug, Error)]
pub enum RemoteError {
    /// A name that a program could take for something else.
    #[error("\"{0}\" cannot be the name of a host or user for ssh")]
    Name(String),
    /// There is no ssh here.
    #[error("no ssh binary found")]
    NoSsh,
    /// It could not be started.
    #[error("`ssh` could not be started")]
    Start {
        /// What the system said.
        source: std::io::Error,
    },
    /// It did not come back.
    #[error("host \"{host}\" did not answer in {} s", deadlines::REMOTE_INFO.limit.as_secs())]
    Silent {
        /// The host.
        host: String,
    },
    /// The login or the program there failed.
    #[error("host \"{host}\" could not be asked: ssh ended with {status}")]
    Failed {
        /// The host.
        host: String,
        /// How ssh ended.
        status: String,
        /// The last lines of what it complained about.
        lines: Vec<String>,
    },
    /// It answered something else.
    #[error("failed to parse 'podman info' results")]
    Answer {
        /// Why.
        source: serde_json::Error,
    },
    /// It answered without a socket.
    #[error("remote podman \"{host}\" failed to report its UDS socket")]
    NoSocket {
        /// The host.
        host: String,
    },
}

impl RemoteError {
    /// Lines that explain the error beyond its causes.
    pub fn detail(&self) -> &[String] {
        match self {
            Self::Failed { lines, .. } => lines,
            _ => &[],
        }
    }

    /// What the user can do about it.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::NoSsh => vec![
                "install an SSH client, or give the path of the socket with `--socket-path`"
                    .to_owned(),
            ],
            Self::Name(_) => Vec::new(),
            _ => vec![
                "give the path of the socket with `--socket-path`, and the host is not asked"
                    .to_owned(),
            ],
        }
    }
}

impl RemoteHost {
    /// The host of an address. Names that a shell or ssh could take for something else are refused.
    pub fn of(uri: &Uri, identity: Option<String>) -> Result<Self, RemoteError> {
        let user = uri.user.as_ref().map(|user| user.name.clone());
        let user = user.filter(|user| !user.is_empty());
        for name in std::iter::once(&uri.host).chain(&user) {
            let odd = |character: char| {
                character.is_control()
                    || character.is_whitespace()
                    || "'\"`\\$;&<>|(){}*!?#".contains(character)
            };
            if name.is_empty() || name.starts_with('-') || name.contains(odd) {
                return Err(RemoteError::Name(name.clone()));
            }
        }
        Ok(Self {
            host: uri.host.clone(),
            user,
            port: uri.port.clone(),
            identity,
        })
    }

    /// The arguments of ssh. The user's own configuration decides on host keys.
    fn arguments(&self, podman: &str) -> Vec<String> {
        let mut arguments = vec!["-p".to_owned(), self.port.clone()];
        if let Some(user) = &self.user {
            arguments.extend(["-l".to_owned(), user.clone()]);
        }
        if let Some(identity) = &self.identity {
            arguments.extend(["-i".to_owned(), identity.clone()]);
        }
        arguments.extend(["--".to_owned(), self.host.clone()]);
        arguments.extend([podman, "info", "--format", "json"].map(str::to_owned));
        arguments
    }
}

/// Asks for the path of the engine's socket. Passwords are asked for by ssh at the terminal; standard input is left
/// alone.
pub async fn ask_remote(host: &RemoteHost, podman: &str) -> Result<String, RemoteError> {
    let ssh = program::find("ssh", &[]).ok_or(RemoteError::NoSsh)?;
    let mut command = Command::new(ssh);
    command
        .args(host.arguments(podman))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let answer = tokio::time::timeout(deadlines::REMOTE_INFO.limit, command.output());
    let answer = answer.await.map_err(|_| RemoteError::Silent {
        host: host.host.clone(),
    })?;
    let answer = answer.map_err(|source| RemoteError::Start { source })?;
    if !answer.status.success() {
        let text = String::from_utf8_lossy(&answer.stderr);
        let lines: Vec<_> = text
            .lines()
            .map(|line| line.trim_end().to_owned())
            .collect();
        return Err(RemoteError::Failed {
            host: host.host.clone(),
            status: answer.status.to_string(),
            lines: lines[lines.len().saturating_sub(LINES)..].to_vec(),
        });
    }
    socket_of(&answer.stdout, &host.host)
}

fn socket_of(info: &[u8], host: &str) -> Result<String, RemoteError> {
    let info: Value =
        serde_json::from_slice(info).map_err(|source| RemoteError::Answer { source })?;
    let path = info
        .pointer("/host/remoteSocket/path")
        .and_then(Value::as_str);
    // Podman reports the socket as an address or as a path.
    let path = path.map(|path| path.strip_prefix("unix://").unwrap_or(path));
    match path.filter(|path| path.starts_with('/') && !path.contains(char::is_control)) {
        Some(path) => Ok(path.to_owned()),
        None => Err(RemoteError::NoSocket {
            host: host.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(destination: &str) -> Result<RemoteHost, RemoteError> {
        let mut uri = Uri::parse(destination).unwrap();
        uri.port = "22".to_owned();
        RemoteHost::of(&uri, Some("/k".to_owned()))
    }

    #[test]
    fn arguments_end_before_the_host() {
        assert_eq!(
            host("me@h").unwrap().arguments("podman"),
            [
                "-p", "22", "-l", "me", "-i", "/k", "--", "h", "podman", "info", "--format", "json"
            ]
        );
    }

    #[test]
    fn names_that_could_be_something_else_are_refused() {
        for destination in [
            "-oProxyCommand=x@h",
            "ssh://-oProxyCommand=x",
            "a;b@h",
            "me@h$(x)",
            "%20@h",
        ] {
            let error = host(destination).unwrap_err();
            assert!(
                matches!(error, RemoteError::Name(_)),
                "{destination}: {error}"
            );
        }
        host("me@[fe80::1%25en0]").unwrap();
    }

    #[test]
    fn the_socket_of_an_answer() {
        let socket =
            |text: &str| socket_of(text.as_bytes(), "h").map_err(|error| error.to_string());
        let answer = |path: &str| {
            format!(r#"{{"host":{{"remoteSocket":{{"path":"{path}","exists":true}}}}}}"#)
        };
        assert_eq!(socket(&answer("/run/p.sock")), Ok("/run/p.sock".to_owned()));
        assert_eq!(
            socket(&answer("unix:///run/p.sock")),
            Ok("/run/p.sock".to_owned())
        );
        let none = Err("remote podman \"h\" failed to report its UDS socket".to_owned());
        for text in [r#"{"host":{}}"#, "[]", &answer(""), &answer("rel")] {
            assert_eq!(socket(text), none, "{text}");
        }
        assert_eq!(
            socket("motd"),
            Err("failed to parse 'podman info' results".to_owned())
        );
    }
}
