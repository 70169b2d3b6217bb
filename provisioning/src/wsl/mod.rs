//! A guest without Ignition: what it is told for life is laid into the tar file of its tree, before that is imported.
//!
//! [`tree`] renders the description that Ignition would carry out as files, directories and links; [`lay`] puts them into
//! the stream of an image's tar file. Nothing of it runs in the guest. The users are written into the image's own
//! `passwd`, `group` and `shadow` on the way: a script at the first boot would need the image's tools and a boot that gets
//! that far, and what fails there shows later and further away.
//!
//! How units are told: what is enabled is a link in its target's directory; what is not to start by itself is masked,
//! because nobody knows what would start it; an image's own units get drop-ins.

mod accounts;
mod archive;
mod error;
mod lay;
mod links;

use std::collections::BTreeMap;

use self::accounts::Accounts;
pub use self::error::LayError;
pub use self::lay::{Laid, lay};
use crate::guest::{self, DROP_IN, GuestSpec, Node, Owner, ProvisioningError, Unit};
use crate::units::{AGENT_UNIT, WSL_AGENT_UNIT_TEXT};

/// Where home directories lie.
const HOMES: &str = "/home";

/// Where units lie.
const UNITS: &str = "/etc/systemd/system";

/// Units that fight with WSL over what WSL does: names, addresses and `/tmp` are its own, there is no console, and the
/// memory is that of all distributions. All of them share one network, so that a server of ours at port 22 would be in
/// the way of the user's.
const MASKED: [&str; 11] = [
    "NetworkManager.service",
    "console-getty.service",
    "ssh.service",
    "ssh.socket",
    "sshd.service",
    "sshd.socket",
    "systemd-networkd.service",
    "systemd-oomd.service",
    "systemd-oomd.socket",
    "systemd-resolved.service",
    "tmp.mount",
];

/// What a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Directory,
    File(String),
    Link(String),
}

/// A node of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    kind: Kind,
    mode: u32,
    uid: u32,
    gid: u32,
}

/// What is laid into an image's tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    /// By paths without the first slash.
    entries: BTreeMap<String, Entry>,
    accounts: Accounts,
}

/// The tree of a guest of this specification. Equal specifications give equal trees.
pub fn tree(spec: &GuestSpec) -> Result<Tree, ProvisioningError> {
    let described = guest::describe(spec, HOMES)?;
    let mut tree = Tree {
        entries: BTreeMap::new(),
        accounts: Accounts::new(spec, &described.removed_users, HOMES),
    };
    for user in &described.users {
        tree.home(user, spec)?;
    }
    for node in &described.nodes {
        tree.node(node, spec)?;
    }
    for (name, unit) in &described.units {
        // That of a server which does not run.
        if !(MASKED.contains(&name.as_str()) && matches!(unit, Unit::DropIn { .. })) {
            tree.unit(name, unit)?;
        }
    }
    for name in MASKED {
        tree.unit(name, &Unit::Masked)?;
    }
    let agent = format!("{UNITS}/{AGENT_UNIT}");
    tree.file(&agent, 0o644, WSL_AGENT_UNIT_TEXT)?;
    let user = &spec.user;
    tree.file(
        "/etc/wsl.conf",
        0o644,
        &format!("[boot]\nsystemd=true\n\n[user]\ndefault={user}\n"),
    )?;
    // The user of Fedora CoreOS has this from its image. sudo wants the mode.
    tree.file(
        "/etc/sudoers.d/50-machine",
        0o440,
        &format!("{user} ALL=(ALL) NOPASSWD: ALL\n"),
    )?;
    Ok(tree)
}

impl Tree {
    fn home(&mut self, user: &guest::User, spec: &GuestSpec) -> Result<(), ProvisioningError> {
        let (home, owner) = match user.uid {
            Some(_) => (format!("{HOMES}/{}", user.name), Owner::User),
            None => ("/root".to_owned(), Owner::Root),
        };
        if owner == Owner::User {
            self.add(&home, Kind::Directory, 0o700, owner, spec)?;
        }
        let Some(key) = &user.authorized_key else {
            return Ok(());
        };
        let ssh = format!("{home}/.ssh");
        self.add(&ssh, Kind::Directory, 0o700, owner, spec)?;
        let keys = Kind::File(format!("{key}\n"));
        self.add(&format!("{ssh}/authorized_keys"), keys, 0o600, owner, spec)
    }

    fn node(&mut self, node: &Node, spec: &GuestSpec) -> Result<(), ProvisioningError> {
        match node {
            Node::Directory { path, owner } => self.add(path, Kind::Directory, 0o755, *owner, spec),
            Node::File {
                path,
                owner,
                mode,
                contents,
            } => self.add(path, Kind::File(contents.clone()), *mode, *owner, spec),
            Node::Link { path, target } => self.link(path, target),
        }
    }

    fn unit(&mut self, name: &str, unit: &Unit) -> Result<(), ProvisioningError> {
        match unit {
            Unit::Enabled { target } => self.link(
                &format!("{UNITS}/{target}.wants/{name}"),
                &format!("/usr/lib/systemd/system/{name}"),
            ),
            Unit::Disabled | Unit::Masked => self.link(&format!("{UNITS}/{name}"), "/dev/null"),
            Unit::DropIn { text } => self.file(&format!("{UNITS}/{name}.d/{DROP_IN}"), 0o644, text),
        }
    }

    fn file(&mut self, path: &str, mode: u32, contents: &str) -> Result<(), ProvisioningError> {
        self.insert(path, Kind::File(contents.to_owned()), mode, (0, 0))
    }

    fn link(&mut self, path: &str, target: &str) -> Result<(), ProvisioningError> {
        self.insert(path, Kind::Link(target.to_owned()), 0o777, (0, 0))
    }

    fn add(
        &mut self,
        path: &str,
        kind: Kind,
        mode: u32,
        owner: Owner,
        spec: &GuestSpec,
    ) -> Result<(), ProvisioningError> {
        let ids = match owner {
            Owner::Root => (0, 0),
            Owner::User => (spec.uid, guest::group_id(spec.uid)),
        };
        self.insert(path, kind, mode, ids)
    }

    fn insert(
        &mut self,
        path: &str,
        kind: Kind,
        mode: u32,
        (uid, gid): (u32, u32),
    ) -> Result<(), ProvisioningError> {
        let entry = Entry {
            kind,
            mode,
            uid,
            gid,
        };
        let name = path.trim_start_matches('/').to_owned();
        match self.entries.insert(name, entry) {
            None => Ok(()),
            Some(_) => Err(ProvisioningError::Twice(path.to_owned())),
        }
    }
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
