//! Folders of the host that a guest is to have: how they are asked for, and where they may go.
//!
//! `SOURCE[:TARGET[:OPTIONS]]`, as podman's `--volume` (spec 1.4.1, 6.2): without a target the folder has the same path
//! in the guest, and on Windows one below `/c`. Options are `ro`, `rw`, `watch`, which podman lacks, and, without effect,
//! `security_model=…`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A guest has room for so many: each takes one of the 32 slots of its PCI bus.
pub const MOST_VOLUMES: usize = 16;
/// Linux's longest path, less what the agent may put behind it.
const LONGEST_TARGET: usize = 4000;

/// A folder of the host in the guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// The folder on the host, an absolute path.
    pub source: PathBuf,
    /// Its place in the guest: absolute, without `.`, `..` and needless slashes.
    pub target: String,
    /// Whether the guest can change nothing in it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// Whether programs of the guest that watch files in it are told what the host changes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub watch: bool,
}

/// How paths of the host are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathStyle {
    /// `/a/b`.
    Unix,
    /// `C:\a\b`, whose colon separates nothing.
    Windows,
}

/// What was asked for, and the options that mean nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// The folder.
    pub volume: Volume,
    /// Options that nobody knows; podman says so and goes on.
    pub unknown: Vec<String>,
}

/// A folder that cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum VolumeError {
    /// Nothing before the first colon.
    #[error("volume `{0}` names no folder of the host")]
    NoSource(String),
    /// A place in the guest that depends on where one is.
    #[error("volume target `{0}` is not an absolute path in the machine")]
    Relative(String),
    /// A line end and the like in a path.
    #[error("volume `{}` has a control character in its path", .0.escape_debug())]
    ControlCharacter(String),
    /// Longer than a path can be.
    #[error("volume target of {0} bytes is longer than the {LONGEST_TARGET} that a path may have")]
    TooLong(usize),
    /// What the guest could not do without (spec 1.4.1, check 13).
    #[error(
        "machine mount destination cannot be \"{0}\": consider another location or a subdirectory of an existing location"
    )]
    Forbidden(String),
    /// Programs are told of changes by an attribute that the guest sets, which it cannot there.
    #[error("volume `{0}` cannot have both `ro` and `watch`")]
    WatchedReadOnly(String),
    /// Two folders in one place.
    #[error("volumes `{}` and `{}` have the same target, `{target}`", first.display(), second.display())]
    Twice {
        /// The first folder.
        first: PathBuf,
        /// The other.
        second: PathBuf,
        /// Their place.
        target: String,
    },
    /// More than a guest has room for.
    #[error("{0} volumes are more than the {MOST_VOLUMES} that a machine can have")]
    TooMany(usize),
}

impl VolumeError {
    /// What the user can do about it.
    pub fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::NoSource(_) | Self::Relative(_) => {
                "a volume is `SOURCE[:TARGET[:ro|watch]]`, for example `/data:/mnt/data:ro`; `--volume \"\"` is none"
            }
            Self::Forbidden(_) => {
                "the machine needs what it has there itself; a folder below `/mnt` is in nobody's way"
            }
            Self::TooMany(_) => "share a folder that holds several of them",
            Self::WatchedReadOnly(_) => {
                "what watches files is told by a touch of their attributes, and nothing of a read-only folder can be \
                 touched; leave one of them out"
            }
            Self::ControlCharacter(_) | Self::TooLong(_) | Self::Twice { .. } => return Vec::new(),
        };
        vec![hint.to_owned()]
    }
}

/// The folders of a machine for which none are named, variables unexpanded (spec 1.3). Podman's third kind, the user's
/// configuration of containers over the guest's `/etc/containers`, is left out: the guest has its own.
pub fn defaults(os: &str) -> Vec<String> {
    let list: &[&str] = match os {
        "macos" => &[
            "/Users:/Users",
            "/private:/private",
            "/var/folders:/var/folders",
        ],
        "windows" => &["$USERPROFILE"],
        _ => &["$HOME:$HOME"],
    };
    list.iter().map(|text| (*text).to_owned()).collect()
}

/// Takes a volume apart, variables expanded. A source that is relative begins at `directory`.
pub fn parse(text: &str, style: PathStyle, directory: &Path) -> Result<Parsed, VolumeError> {
    let mut parts = split(text, style);
    if text.chars().any(char::is_control) {
        return Err(VolumeError::ControlCharacter(text.to_owned()));
    }
    let options = parts.drain(2.min(parts.len())..).next().unwrap_or_default();
    let source = match parts.first() {
        Some(source) if !source.is_empty() => *source,
        _ => return Err(VolumeError::NoSource(text.to_owned())),
    };
    let absolute = if has_root(source, style) {
        PathBuf::from(source)
    } else {
        directory.join(source)
    };
    let target = match parts.get(1) {
        Some(target) => (*target).to_owned(),
        None => same_place(&absolute.to_string_lossy(), style),
    };
    let target = clean(&target).ok_or(VolumeError::Relative(target))?;
    let (mut read_only, mut watch) = (false, false);
    let mut unknown = Vec::new();
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => read_only = true,
            "rw" => read_only = false,
            "watch" => watch = true,
            _ if option.starts_with("security_model=") => {}
            _ => unknown.push(option.to_owned()),
        }
    }
    Ok(Parsed {
        volume: Volume {
            source: absolute,
            target,
            read_only,
            watch,
        },
        unknown,
    })
}

/// Checks the volumes of a machine whose guest has this user.
pub fn check(volumes: &[Volume], user: &str) -> Result<(), VolumeError> {
    if volumes.len() > MOST_VOLUMES {
        return Err(VolumeError::TooMany(volumes.len()));
    }
    for (at, volume) in volumes.iter().enumerate() {
        check_one(volume, user)?;
        let place = canonical(&volume.target);
        let other = volumes[..at]
            .iter()
            .find(|other| canonical(&other.target) == place);
        if let Some(other) = other {
            return Err(VolumeError::Twice {
                first: other.source.clone(),
                second: volume.source.clone(),
                target: volume.target.clone(),
            });
        }
    }
    Ok(())
}

/// Checks a volume by itself.
pub fn check_one(volume: &Volume, user: &str) -> Result<(), VolumeError> {
    let source = volume.source.to_string_lossy();
    for path in [&*source, &*volume.target] {
        if path.chars().any(char::is_control) {
            return Err(VolumeError::ControlCharacter(path.to_owned()));
        }
    }
    if volume.target.len() > LONGEST_TARGET {
        return Err(VolumeError::TooLong(volume.target.len()));
    }
    // A file that a person has edited need not be clean.
    match clean(&volume.target) {
        Some(target) if target == volume.target => {}
        _ => return Err(VolumeError::Relative(volume.target.clone())),
    }
    if is_forbidden(&canonical(&volume.target), user) {
        return Err(VolumeError::Forbidden(volume.target.clone()));
    }
    if volume.watch && volume.read_only {
        return Err(VolumeError::WatchedReadOnly(volume.target.clone()));
    }
    Ok(())
}

/// Podman's list (spec 1.4.1, check 13), and what a guest made from an image could not do without.
const FORBIDDEN: [&str; 20] = [
    "/",
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/home",
    "/lib",
    "/lib64",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/sys",
    "/tmp",
    "/usr",
    "/usr/local",
    "/var",
    "/var/lib",
    "/var/log",
    "/var/tmp",
];
/// Nothing may lie there, nor below.
const FORBIDDEN_TREES: [&str; 11] = [
    "/boot",
    "/dev",
    "/etc/containers",
    "/etc/systemd",
    "/ostree",
    "/proc",
    "/root/.ssh",
    "/run/machine",
    "/sys",
    "/sysroot",
    "/var/lib/containers",
];
/// The same in the home of the guest's user: the way in, and what the engine keeps.
const FORBIDDEN_AT_HOME: [&str; 5] = [
    "",
    "/.config",
    "/.local",
    "/.local/share",
    "/.config/containers",
];
const FORBIDDEN_TREES_AT_HOME: [&str; 3] =
    ["/.ssh", "/.local/share/containers", "/.config/systemd"];

pub(super) fn is_forbidden(place: &str, user: &str) -> bool {
    let is_in = |tree: &str| {
        place
            .strip_prefix(tree)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let home = format!("/home/{user}");
    FORBIDDEN.contains(&place)
        || FORBIDDEN_TREES.iter().any(|tree| is_in(tree))
        || place.strip_prefix(&home).is_some_and(|rest| {
            FORBIDDEN_AT_HOME.contains(&rest)
                || FORBIDDEN_TREES_AT_HOME
                    .iter()
                    .any(|tree| is_in(&format!("{home}{tree}")))
        })
}

/// The one name of a place that images based on `OSTree` have under two.
pub(super) fn canonical(target: &str) -> String {
    for (real, link) in [
        ("/var/home", "/home"),
        ("/var/mnt", "/mnt"),
        ("/var/opt", "/opt"),
        ("/var/roothome", "/root"),
        ("/var/run", "/run"),
        ("/var/srv", "/srv"),
        ("/var/usrlocal", "/usr/local"),
    ] {
        if let Some(rest) = target.strip_prefix(real)
            && (rest.is_empty() || rest.starts_with('/'))
        {
            return format!("{link}{rest}");
        }
    }
    target.to_owned()
}

/// The path without `.`, `..`, empty parts and a slash at its end; nothing where it is not absolute.
pub(super) fn clean(path: &str) -> Option<String> {
    let mut parts = Vec::new();
    for part in path.strip_prefix('/')?.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    Some(format!("/{}", parts.join("/")))
}

/// At most three parts, of which the first is the host's.
fn split(text: &str, style: PathStyle) -> Vec<&str> {
    let drive = match style {
        PathStyle::Windows => drive_length(text),
        PathStyle::Unix => None,
    };
    let Some(end) = drive else {
        return text.splitn(3, ':').collect();
    };
    let source = text[end..].find(':').map_or(text.len(), |at| end + at);
    let rest = text.get(source + 1..);
    std::iter::once(&text[..source])
        .chain(rest.into_iter().flat_map(|rest| rest.splitn(2, ':')))
        .collect()
}

/// How much of the text is a drive, as `C:`, `\\.\C:` or `\\?\C:`.
fn drive_length(text: &str) -> Option<usize> {
    let rest = without_device_prefix(text);
    let mut letters = rest.bytes();
    let is_drive = letters
        .next()
        .is_some_and(|letter| letter.is_ascii_alphabetic())
        && letters.next() == Some(b':');
    is_drive.then(|| text.len() - rest.len() + 2)
}

fn without_device_prefix(text: &str) -> &str {
    text.strip_prefix(r"\\.\")
        .or_else(|| text.strip_prefix(r"\\?\"))
        .unwrap_or(text)
}

pub(super) fn has_root(path: &str, style: PathStyle) -> bool {
    match style {
        PathStyle::Unix => path.starts_with('/'),
        PathStyle::Windows => {
            drive_length(path).is_some_and(|end| path[end..].starts_with(['\\', '/']))
                || path.starts_with(['\\', '/'])
        }
    }
}

/// Where a folder is in the guest for which no place is named: `C:\Users\me` is `/c/Users/me`.
fn same_place(source: &str, style: PathStyle) -> String {
    match style {
        PathStyle::Unix => source.to_owned(),
        PathStyle::Windows => {
            let path = without_device_prefix(source).replace('\\', "/");
            match (path.get(..1), path.get(1..2)) {
                (Some(letter), Some(":")) => {
                    format!("/{}/{}", letter.to_ascii_lowercase(), &path[2..])
                }
                _ => path,
            }
        }
    }
}

#[cfg(test)]
mod tests;
