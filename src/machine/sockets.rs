//! Sockets of the host in a guest: how they are asked for, and where they may lie.
//!
//! `HOST:GUEST`, where the host's end is the absolute path of a socket, or of a named pipe on Windows, or the word
//! `ssh-agent`. The last colon separates: a guest's path has none, or no container could mount it.

use std::fmt;
use std::path::Path;

use machine_protocol::sockets::{LONGEST_PATH, MOST};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::volume::{self, PathStyle, Volume};

/// The word for the SSH agent of whoever starts the machine.
pub const SSH_AGENT: &str = "ssh-agent";

/// A socket of the host that programs in the guest can use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForwardSocket {
    /// Where it leads.
    pub host: HostSocket,
    /// Its place in the guest: absolute, without `.`, `..` and needless slashes.
    pub guest: String,
}

/// A socket of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum HostSocket {
    /// That of the SSH agent: what `SSH_AUTH_SOCK` names where the machine is started.
    SshAgent,
    /// The one at this absolute path.
    Path(String),
}

/// A socket that cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SocketError {
    /// It has another form.
    #[error("`{}` is not `HOST:GUEST`", .0.escape_debug())]
    Form(String),
    /// The host's end depends on where one is.
    #[error("the host's socket `{0}` is neither an absolute path nor the word `{SSH_AGENT}`")]
    HostRelative(String),
    /// The guest's end depends on where one is.
    #[error("the socket's place `{0}` is not an absolute path in the machine")]
    Relative(String),
    /// A line end and the like in a path.
    #[error("the socket `{}` has a control character in its path", .0.escape_debug())]
    ControlCharacter(String),
    /// No container could mount it.
    #[error("the socket's place `{0}` has a colon in it")]
    Colon(String),
    /// Longer than an address of a unix socket can be.
    #[error("the socket's place `{0}` is longer than the {LONGEST_PATH} bytes that one can have")]
    TooLong(String),
    /// What the guest has there itself.
    #[error("a socket of the host cannot be at `{0}`: the machine has its own things there")]
    Forbidden(String),
    /// Two sockets in one place.
    #[error("the sockets at `{0}` and `{1}` are in each other's way")]
    Clash(String, String),
    /// Its file would be one of the host's.
    #[error("the socket's place `{guest}` is in the shared folder `{folder}`")]
    InFolder {
        /// The place.
        guest: String,
        /// The folder's place.
        folder: String,
    },
    /// More than there may be.
    #[error("{0} sockets are more than the {MOST} that a machine can have")]
    TooMany(usize),
}

impl SocketError {
    /// What the user can do about it.
    pub fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Form(_) | Self::HostRelative(_) | Self::Relative(_) => {
                "for example `--forward-socket ssh-agent:/run/host/ssh-agent.sock`; `--forward-socket \"\"` is none"
            }
            Self::Forbidden(_) | Self::InFolder { .. } => {
                "a place below `/run/host` is in nobody's way"
            }
            Self::ControlCharacter(_)
            | Self::Colon(_)
            | Self::TooLong(_)
            | Self::Clash(..)
            | Self::TooMany(_) => return Vec::new(),
        };
        vec![hint.to_owned()]
    }
}

impl HostSocket {
    fn check(&self, has_root: impl Fn(&str) -> bool) -> Result<(), SocketError> {
        let Self::Path(path) = self else {
            return Ok(());
        };
        if path.chars().any(char::is_control) {
            return Err(SocketError::ControlCharacter(path.clone()));
        }
        if !has_root(path) {
            return Err(SocketError::HostRelative(path.clone()));
        }
        Ok(())
    }
}

impl From<String> for HostSocket {
    fn from(text: String) -> Self {
        if text == SSH_AGENT {
            Self::SshAgent
        } else {
            Self::Path(text)
        }
    }
}

impl From<HostSocket> for String {
    fn from(socket: HostSocket) -> Self {
        socket.to_string()
    }
}

impl fmt::Display for HostSocket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::SshAgent => SSH_AGENT,
            Self::Path(path) => path,
        })
    }
}

impl fmt::Display for ForwardSocket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.host, self.guest)
    }
}

/// Takes `HOST:GUEST` apart and checks it, as far as one socket alone can be.
pub fn parse(text: &str, style: PathStyle, user: &str) -> Result<ForwardSocket, SocketError> {
    if text.chars().any(char::is_control) {
        return Err(SocketError::ControlCharacter(text.to_owned()));
    }
    let (host, guest) = match text.rsplit_once(':') {
        Some((host, guest)) if !host.is_empty() && !guest.is_empty() => (host, guest),
        _ => return Err(SocketError::Form(text.to_owned())),
    };
    let host = HostSocket::from(host.to_owned());
    host.check(|path| volume::has_root(path, style))?;
    let guest = volume::clean(guest).ok_or_else(|| SocketError::Relative(guest.to_owned()))?;
    check_place(&guest, user)?;
    Ok(ForwardSocket { host, guest })
}

/// Checks the sockets of a machine whose guest has these folders and this user.
pub fn check(sockets: &[ForwardSocket], volumes: &[Volume], user: &str) -> Result<(), SocketError> {
    if sockets.len() > MOST {
        return Err(SocketError::TooMany(sockets.len()));
    }
    for (at, socket) in sockets.iter().enumerate() {
        socket.host.check(|path| Path::new(path).has_root())?;
        check_place(&socket.guest, user)?;
        let place = volume::canonical(&socket.guest);
        let folder = volumes
            .iter()
            .find(|volume| is_in(&place, &volume::canonical(&volume.target)));
        if let Some(volume) = folder {
            return Err(SocketError::InFolder {
                guest: socket.guest.clone(),
                folder: volume.target.clone(),
            });
        }
        let other = sockets[..at].iter().find(|other| {
            let other = volume::canonical(&other.guest);
            is_in(&other, &place) || is_in(&place, &other)
        });
        if let Some(other) = other {
            return Err(SocketError::Clash(
                other.guest.clone(),
                socket.guest.clone(),
            ));
        }
    }
    Ok(())
}

fn check_place(guest: &str, user: &str) -> Result<(), SocketError> {
    let wrong = |error: fn(String) -> SocketError| Err(error(guest.to_owned()));
    if guest.chars().any(char::is_control) {
        return wrong(SocketError::ControlCharacter);
    }
    // A file that a person has edited need not be clean.
    if volume::clean(guest).as_deref() != Some(guest) {
        return wrong(SocketError::Relative);
    }
    if guest.contains(':') {
        return wrong(SocketError::Colon);
    }
    if guest.len() > LONGEST_PATH {
        return wrong(SocketError::TooLong);
    }
    let place = volume::canonical(guest);
    if volume::is_forbidden(&place, user) || is_of_the_system(&place) {
        return wrong(SocketError::Forbidden);
    }
    Ok(())
}

/// Beyond what no folder may hide: where programs and their settings lie, and what the guest's own servers listen at.
/// They would find their places taken.
const TREES_OF_THE_SYSTEM: [&str; 12] = [
    "/bin",
    "/etc",
    "/lib",
    "/lib64",
    "/run/dbus",
    "/run/docker.sock",
    "/run/podman",
    "/run/podman-machine",
    "/run/systemd",
    "/run/udev",
    "/sbin",
    "/usr",
];
/// The same in the directory that each user has below `/run/user`.
const TREES_OF_A_USER: [&str; 6] = ["", "bus", "containers", "dbus-1", "podman", "systemd"];

fn is_of_the_system(place: &str) -> bool {
    if TREES_OF_THE_SYSTEM.iter().any(|tree| is_in(place, tree)) || place == "/run/user" {
        return true;
    }
    place.strip_prefix("/run/user/").is_some_and(|rest| {
        let within = rest.split_once('/').map_or("", |(_, within)| within);
        let first = within.split('/').next().unwrap_or_default();
        TREES_OF_A_USER.contains(&first)
    })
}

fn is_in(place: &str, tree: &str) -> bool {
    place
        .strip_prefix(tree)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests;
