//! The guest's first-boot configuration.
//!
//! Everything a guest is told for life, and nothing that may change between two starts. Written so that it can be
//! applied twice: a first boot that was interrupted runs Ignition again.

mod builder;

use std::fmt;

use ignition_config::v3_2 as schema;

use self::builder::{Builder, Owner};
use crate::keys::KeyPair;
use crate::units::{AGENT_UNIT, AGENT_UNIT_TEXT};

/// Upper limit of the document. The guest's kernel reads the firmware's file from its beginning again for every 4 KiB,
/// so the time grows with the square of the length.
pub const IGNITION_LIMIT: usize = 16 * 1024;

/// The user that the image brings along.
const IMAGE_USER: &str = "core";

/// Length and usual start of the range of sub-ids that the user's containers live in.
const SUB_IDS: u32 = 1_000_000;
const FIRST_SUB_ID: u32 = 100_000;

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
fn user_drop_in(spec: &GuestSpec) -> String {
    format!(
        "[Unit]\nAfter=machine-agent.service\nRequiresMountsFor=/var/home/{}/.local/share/containers\n\
         [Service]\nDelegate=memory pids cpu io\n",
        spec.user
    )
}

/// A container with systemd in it takes a few dozen instances, and the kernel gives a user 128; the number is podman's.
const INOTIFY_INSTANCES: &str = "fs.inotify.max_user_instances=524288\n";

/// All clients reach sshd through the agent, so they share one address, and OpenSSH 9.8 and later answer nobody there for
/// a while after a few failed logins (`PerSourcePenalties` of `sshd_config(5)`). An older one would not start with a word that
/// it does not know, so sshd itself is asked, once for the life of the guest.
const NO_PENALTIES: &str = "[Service]\nExecStartPre=-/bin/sh -c '\
     [ -e /etc/ssh/sshd_config.d/10-machine.conf ] || \
     { /usr/sbin/sshd -t -o PerSourcePenalties=no && \
     echo PerSourcePenalties no >/etc/ssh/sshd_config.d/10-machine.conf; }'\n";

const CONTAINERS_CONF: &str = "[containers]\nnetns=\"bridge\"\npids_limit=0\n";

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ProvisioningError {
    /// A path or a unit was given twice.
    #[error("`{0}` is in the Ignition configuration twice")]
    Twice(String),
    /// The document is longer than the guest can read in a reasonable time.
    #[error("The Ignition configuration has {0} bytes, more than {IGNITION_LIMIT}")]
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

/// The Ignition configuration, specification 3.2.0, as JSON. Equal specifications give equal text.
pub fn ignition(spec: &GuestSpec) -> Result<String, ProvisioningError> {
    check(spec)?;
    let mut builder = Builder::new();
    users(&mut builder, spec);
    home(&mut builder, spec)?;
    system(&mut builder, spec)?;
    services(&mut builder, spec)?;
    mounts(&mut builder, spec)?;
    let text = builder.finish()?;
    if text.len() >= IGNITION_LIMIT {
        return Err(ProvisioningError::TooLong(text.len()));
    }
    Ok(text)
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

fn users(builder: &mut Builder, spec: &GuestSpec) {
    let keys = Some(vec![spec.authorized_key.clone()]);
    if spec.user != IMAGE_USER {
        builder.user(schema::User {
            should_exist: Some(false),
            ..schema::User::new(IMAGE_USER.to_owned())
        });
    }
    let mut user = schema::User {
        uid: Some(i64::from(spec.uid)),
        ssh_authorized_keys: keys.clone(),
        ..schema::User::new(spec.user.clone())
    };
    if spec.user != IMAGE_USER {
        // The image gives these to its own user.
        let groups = ["sudo", "adm", "wheel", "systemd-journal"];
        user.groups = Some(groups.map(str::to_owned).to_vec());
    }
    builder.user(user);
    builder.user(schema::User {
        ssh_authorized_keys: keys,
        ..schema::User::new("root".to_owned())
    });
}

/// The user's own files. Ignition goes through no links, and on these images `/home` is one to `/var/home`. It makes
/// missing parents as root, so every directory on the way is named.
fn home(builder: &mut Builder, spec: &GuestSpec) -> Result<(), ProvisioningError> {
    let owner = Owner::User(&spec.user);
    let home = format!("/var/home/{}", spec.user);
    for directory in [
        ".config",
        ".config/containers",
        ".config/systemd",
        ".config/systemd/user",
    ] {
        builder.directory(&format!("{home}/{directory}"), owner)?;
    }
    builder.file(
        &format!("{home}/.config/containers/containers.conf"),
        owner,
        0o644,
        CONTAINERS_CONF,
    )
}

fn system(builder: &mut Builder, spec: &GuestSpec) -> Result<(), ProvisioningError> {
    let linger = format!("/var/lib/systemd/linger/{}", spec.user);
    builder.file(&linger, Owner::Root, 0o644, "")?;
    let sub_ids = format!("{}:{}:{SUB_IDS}\n", spec.user, first_sub_id(spec.uid));
    for path in ["/etc/subuid", "/etc/subgid"] {
        builder.file(path, Owner::Root, 0o644, &sub_ids)?;
    }
    builder.file(
        "/etc/sysctl.d/10-inotify-instances.conf",
        Owner::Root,
        0o644,
        INOTIFY_INSTANCES,
    )?;
    let host_key = "/etc/ssh/ssh_host_ed25519_key";
    builder.file(
        host_key,
        Owner::Root,
        0o600,
        &with_line_end(&spec.host_key.private),
    )?;
    builder.file(
        &format!("{host_key}.pub"),
        Owner::Root,
        0o644,
        &with_line_end(&spec.host_key.public),
    )?;
    builder.link(
        "/etc/systemd/user/sockets.target.wants/podman.socket",
        "/usr/lib/systemd/user/podman.socket",
    )?;
    builder.link("/usr/local/bin/docker", "/usr/bin/podman")
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

fn services(builder: &mut Builder, spec: &GuestSpec) -> Result<(), ProvisioningError> {
    let switched = |name: &str, enabled| schema::Unit {
        enabled: Some(enabled),
        ..schema::Unit::new(name.to_owned())
    };
    builder.unit(switched("podman.socket", true))?;
    let drop_in = |name: &str, text: &str| schema::Unit {
        dropins: Some(vec![schema::Dropin {
            contents: Some(text.to_owned()),
            ..schema::Dropin::new("10-machine.conf".to_owned())
        }]),
        ..schema::Unit::new(name.to_owned())
    };
    builder.unit(drop_in("podman.service", ENGINE_DROP_IN))?;
    for unit in STORAGE_UNITS {
        builder.unit(drop_in(unit, STORAGE_DROP_IN))?;
    }
    builder.unit(drop_in("user@.service", &user_drop_in(spec)))?;
    // Fedora's name and Debian's.
    for sshd in ["sshd.service", "ssh.service"] {
        builder.unit(drop_in(sshd, NO_PENALTIES))?;
    }
    // A machine is updated when its user says so, not in the middle of his work.
    builder.unit(switched("zincati.service", false))?;
    // The Docker engine's socket would take the place of the link that leads to Podman's.
    builder.unit(schema::Unit {
        mask: Some(true),
        ..schema::Unit::new("docker.socket".to_owned())
    })?;
    builder.unit(schema::Unit {
        enabled: Some(true),
        contents: Some(AGENT_UNIT_TEXT.to_owned()),
        ..schema::Unit::new(AGENT_UNIT.to_owned())
    })
}

/// Room for folders of the host in `/` itself. There it is a read-only image since Fedora CoreOS 41, unless this kernel
/// argument is set: then directories can be made, by who lifts the lock that lies on `/`. It takes one more reset of the
/// first boot, so it is set only where it is needed.
fn mounts(builder: &mut Builder, spec: &GuestSpec) -> Result<(), ProvisioningError> {
    if !spec.mounts.iter().any(|target| needs_room(target)) {
        return Ok(());
    }
    builder.kernel_argument("ostree.prepare-root.composefs=0");
    // It tells at each login that a mount lies where none should.
    builder.unit(schema::Unit {
        enabled: Some(false),
        ..schema::Unit::new("coreos-warn-invalid-mounts.service".to_owned())
    })
}

/// Whether a directory has to be made in `/` for it. All others are there and lead to where the guest can write.
fn needs_room(target: &str) -> bool {
    const ROOMY: [&str; 10] = [
        "etc", "home", "media", "mnt", "opt", "root", "run", "srv", "tmp", "var",
    ];
    let first = target.trim_start_matches('/').split('/').next();
    let is_local = target == "/usr/local" || target.starts_with("/usr/local/");
    first.is_some_and(|first| !ROOMY.contains(&first)) && !is_local
}

#[cfg(test)]
mod tests;
