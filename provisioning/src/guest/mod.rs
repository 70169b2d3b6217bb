//! What a guest is told for life, whatever brings it there: its users, its files, its units.
//!
//! [`describe`] says it once. Ignition does it at the first boot ([`crate::ignition()`]), and where there is no Ignition
//! it is laid into the tree of files that the guest is made from ([`crate::wsl`]). Nothing here may change between two
//! starts, and all of it can be applied twice.

mod description;

use std::fmt;

pub(crate) use self::description::{DROP_IN, Description, Node, Owner, Unit, User};
use crate::keys::KeyPair;

/// The user that the image brings along.
const IMAGE_USER: &str = "core";

/// Length and usual start of the range of sub-ids that the user's containers live in.
const SUB_IDS: u32 = 1_000_000;
const FIRST_SUB_ID: u32 = 100_000;

/// Those who may do everything, where the image has such groups.
pub(crate) const ADMIN_GROUPS: &[&str] = &["sudo", "adm", "wheel", "systemd-journal"];

/// The groups of people, in the guest.
const ORDINARY_GROUPS: std::ops::RangeInclusive<u32> = 1000..=60000;

/// The longest user name that the guest's tools take.
const USER_NAME_LIMIT: usize = 32;

/// The agent writes the file at each start of the guest, where the image needs it.
/// Containers find the folders of the host and the data disk, which the agent mounts. What is mounted there is unmounted
/// after the engine has ended.
const ENGINE_DROP_IN: &str = "[Unit]\nAfter=machine-agent.service\n\
     RequiresMountsFor=/var/lib/containers /etc/containers/networks\n\
     [Service]\nEnvironmentFile=-/run/machine/engine.env\n";

/// The same for Podman's units that use its storage without the service, as long as the document may be.
const STORAGE_DROP_IN: &str =
    "[Unit]\nAfter=machine-agent.service\nRequiresMountsFor=/var/lib/containers\n";
const STORAGE_UNITS: [&str; 3] = [
    "podman-restart.service",
    "podman-auto-update.service",
    "podman-kube@.service",
];

/// Rootless limits of processors and of input and output need controllers that systemd keeps to itself by default; what
/// podman's own images have (spec 3.11). The user's services find the folders of the host and the data disk.
fn user_drop_in(home: &str) -> String {
    format!(
        "[Unit]\nAfter=machine-agent.service\nRequiresMountsFor={home}/.local/share/containers\n\
         [Service]\nDelegate=memory pids cpu io\n"
    )
}

/// A container with systemd in it takes a few dozen instances, and the kernel gives a user 128; the number is podman's.
const INOTIFY_INSTANCES: &str = "fs.inotify.max_user_instances=524288\n";

/// All clients reach sshd through the agent, so they share one address, and OpenSSH 9.8 and later answer nobody there for
/// a while after a few failed logins (`PerSourcePenalties` of `sshd_config(5)`). An older one would not start with a word that
/// it does not know, so sshd itself is asked, once for the life of the guest.
pub(crate) const NO_PENALTIES: &str = "[Service]\nExecStartPre=-/bin/sh -c '\
     [ -e /etc/ssh/sshd_config.d/10-machine.conf ] || \
     { /usr/sbin/sshd -t -o PerSourcePenalties=no && \
     echo PerSourcePenalties no >/etc/ssh/sshd_config.d/10-machine.conf; }'\n";

const CONTAINERS_CONF: &str = "[containers]\nnetns=\"bridge\"\npids_limit=0\n";

/// Why a guest cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum ProvisioningError {
    /// A path or a unit was given twice.
    #[error("`{0}` is in the first-boot configuration twice")]
    Twice(String),
    /// The document is longer than the guest can read in a reasonable time.
    #[error("The Ignition configuration has {0} bytes, more than {limit}", limit = crate::IGNITION_LIMIT)]
    TooLong(usize),
    /// The guest could not have such a user.
    #[error("`{0}` cannot be the name of the guest's user")]
    User(String),
    /// The user of a guest is never its root.
    #[error("The guest's user `{0}` cannot have the user id 0")]
    RootUser(String),
    /// A public key is not a single line.
    #[error("The {0} key is not a single line")]
    KeyLines(&'static str),
    /// The document could not be written.
    #[error("The Ignition configuration could not be written as JSON")]
    Json(#[source] serde_json::Error),
}

/// The SSH host key that the guest gets, so that it is known before the first connection. `Debug` shows the public
/// half only.
#[derive(Clone, PartialEq, Eq)]
pub struct HostKey {
    /// The private key in OpenSSH's format.
    pub private: String,
    /// The public key in one line.
    pub public: String,
}

impl fmt::Debug for HostKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("HostKey")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

impl From<KeyPair> for HostKey {
    fn from(pair: KeyPair) -> Self {
        Self {
            private: pair.private,
            public: pair.public,
        }
    }
}

/// What the configuration depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestSpec {
    /// Name of the guest's user.
    pub user: String,
    /// User id of the guest's user: that of the host's user, so that shared folders fit.
    pub uid: u32,
    /// The public key that may log in as the user and as root, one line.
    pub authorized_key: String,
    /// The guest's own SSH host key.
    pub host_key: HostKey,
    /// Where folders of the host will be.
    pub mounts: Vec<String>,
}

/// What every guest of this specification is told. `homes` is the directory of its users' home directories, without a
/// link in it.
pub(crate) fn describe(spec: &GuestSpec, homes: &str) -> Result<Description, ProvisioningError> {
    check(spec)?;
    let home = format!("{homes}/{}", spec.user);
    let mut guest = Description::default();
    users(&mut guest, spec);
    user_files(&mut guest, &home)?;
    system(&mut guest, spec)?;
    services(&mut guest, &home)?;
    Ok(guest)
}

fn check(spec: &GuestSpec) -> Result<(), ProvisioningError> {
    let mut letters = spec.user.bytes();
    let starts_well = letters
        .next()
        .is_some_and(|b| b.is_ascii_lowercase() || b == b'_');
    let goes_on_well =
        letters.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'));
    if !starts_well || !goes_on_well || spec.user.len() > USER_NAME_LIMIT || spec.user == "root" {
        return Err(ProvisioningError::User(spec.user.clone()));
    }
    if spec.uid == 0 {
        return Err(ProvisioningError::RootUser(spec.user.clone()));
    }
    for (key, what) in [
        (&spec.authorized_key, "authorized"),
        (&spec.host_key.public, "host"),
    ] {
        if key.is_empty() || key.contains(['\n', '\r']) {
            return Err(ProvisioningError::KeyLines(what));
        }
    }
    Ok(())
}

fn users(guest: &mut Description, spec: &GuestSpec) {
    let authorized_key = Some(spec.authorized_key.clone());
    // The image gives these to its own user.
    let mut groups: &[&str] = &[];
    if spec.user != IMAGE_USER {
        guest.remove_user(IMAGE_USER);
        groups = ADMIN_GROUPS;
    }
    guest.user(User {
        name: spec.user.clone(),
        uid: Some(spec.uid),
        groups,
        authorized_key: authorized_key.clone(),
    });
    guest.user(User {
        name: "root".to_owned(),
        uid: None,
        groups: &[],
        authorized_key,
    });
}

/// The user's own files. Ignition goes through no links, and makes missing parents as root, so every directory on the way
/// is named.
fn user_files(guest: &mut Description, home: &str) -> Result<(), ProvisioningError> {
    for directory in [
        ".config",
        ".config/containers",
        ".config/systemd",
        ".config/systemd/user",
    ] {
        guest.directory(&format!("{home}/{directory}"), Owner::User)?;
    }
    guest.file(
        &format!("{home}/.config/containers/containers.conf"),
        Owner::User,
        0o644,
        CONTAINERS_CONF,
    )
}

fn system(guest: &mut Description, spec: &GuestSpec) -> Result<(), ProvisioningError> {
    let linger = format!("/var/lib/systemd/linger/{}", spec.user);
    guest.file(&linger, Owner::Root, 0o644, "")?;
    let sub_ids = format!("{}:{}:{SUB_IDS}\n", spec.user, first_sub_id(spec.uid));
    for path in ["/etc/subuid", "/etc/subgid"] {
        guest.file(path, Owner::Root, 0o644, &sub_ids)?;
    }
    guest.file(
        "/etc/sysctl.d/10-inotify-instances.conf",
        Owner::Root,
        0o644,
        INOTIFY_INSTANCES,
    )?;
    let host_key = "/etc/ssh/ssh_host_ed25519_key";
    guest.file(
        host_key,
        Owner::Root,
        0o600,
        &with_line_end(&spec.host_key.private),
    )?;
    guest.file(
        &format!("{host_key}.pub"),
        Owner::Root,
        0o644,
        &with_line_end(&spec.host_key.public),
    )?;
    guest.link(
        "/etc/systemd/user/sockets.target.wants/podman.socket",
        "/usr/lib/systemd/user/podman.socket",
    )?;
    guest.link("/usr/local/bin/docker", "/usr/bin/podman")
}

/// The ids in which the containers of a user with this id live: the first, and how many.
pub fn sub_ids(uid: u32) -> (u32, u32) {
    (first_sub_id(uid), SUB_IDS)
}

/// The group of a user with this id: `useradd` gives it the same number where that is an ordinary group's, and else the
/// first of those (`GID_MIN` and `GID_MAX` of `login.defs(5)`, the same in Fedora and Debian).
pub fn group_id(uid: u32) -> u32 {
    if ORDINARY_GROUPS.contains(&uid) {
        uid
    } else {
        *ORDINARY_GROUPS.start()
    }
}

/// The sub-ids begin at the usual place, or after the user's own id if that lies in the usual range.
fn first_sub_id(uid: u32) -> u32 {
    if (FIRST_SUB_ID..FIRST_SUB_ID + SUB_IDS).contains(&uid) {
        uid + 1
    } else {
        FIRST_SUB_ID
    }
}

/// OpenSSH refuses a private key without a last line end.
fn with_line_end(text: &str) -> String {
    format!("{}\n", text.trim_end_matches('\n'))
}

/// The units of every guest but that of the agent, which depends on how the agent gets there.
fn services(guest: &mut Description, home: &str) -> Result<(), ProvisioningError> {
    guest.unit("podman.socket", Unit::enabled("sockets.target"))?;
    guest.unit("podman.service", Unit::drop_in(ENGINE_DROP_IN))?;
    for unit in STORAGE_UNITS {
        guest.unit(unit, Unit::drop_in(STORAGE_DROP_IN))?;
    }
    guest.unit("user@.service", Unit::drop_in(&user_drop_in(home)))?;
    // Fedora's name and Debian's.
    for sshd in ["sshd.service", "ssh.service"] {
        guest.unit(sshd, Unit::drop_in(NO_PENALTIES))?;
    }
    // A machine is updated when its user says so, not in the middle of his work.
    guest.unit("zincati.service", Unit::disabled())?;
    // The Docker engine's socket would take the place of the link that leads to Podman's.
    guest.unit("docker.socket", Unit::masked())
}

#[cfg(test)]
mod tests;
