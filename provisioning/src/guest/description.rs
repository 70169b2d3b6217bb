//! A guest in plain values: no path and no unit twice, in the order in which they were told.

use std::collections::BTreeSet;

use super::ProvisioningError;

/// Who owns a file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    Root,
    /// The guest's user.
    User,
}

/// Something in the guest's tree of files, by its absolute path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    /// One that may be there already. Mode 0755.
    Directory { path: String, owner: Owner },
    File {
        path: String,
        owner: Owner,
        mode: u32,
        contents: String,
    },
    /// A symbolic link, root's.
    Link { path: String, target: String },
}

/// Somebody in the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    /// `None` where the image decides.
    pub(crate) uid: Option<u32>,
    /// Groups beside its own.
    pub(crate) groups: &'static [&'static str],
    /// The public key that may log in as this user, one line.
    pub(crate) authorized_key: Option<String>,
}

/// What is told about a unit of systemd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// The image's own, which this target wants.
    Enabled { target: &'static str },
    /// The image's own, which nothing starts by itself.
    Disabled,
    /// One that cannot be started.
    Masked,
    /// The image's own, with these lines added.
    DropIn { text: String },
}

impl Unit {
    pub(crate) fn enabled(target: &'static str) -> Self {
        Self::Enabled { target }
    }

    pub(crate) fn disabled() -> Self {
        Self::Disabled
    }

    pub(crate) fn masked() -> Self {
        Self::Masked
    }

    pub(crate) fn drop_in(text: &str) -> Self {
        Self::DropIn {
            text: text.to_owned(),
        }
    }
}

/// Name of the drop-ins.
pub(crate) const DROP_IN: &str = "10-machine.conf";

/// All that a guest is told.
#[derive(Debug, Default)]
pub(crate) struct Description {
    pub(crate) removed_users: Vec<String>,
    pub(crate) users: Vec<User>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) units: Vec<(String, Unit)>,
    names: BTreeSet<String>,
}

impl Description {
    /// The image's own user who is not to be there.
    pub(crate) fn remove_user(&mut self, name: &str) {
        self.removed_users.push(name.to_owned());
    }

    pub(crate) fn user(&mut self, user: User) {
        self.users.push(user);
    }

    pub(crate) fn directory(&mut self, path: &str, owner: Owner) -> Result<(), ProvisioningError> {
        self.claim(path)?;
        self.nodes.push(Node::Directory {
            path: path.to_owned(),
            owner,
        });
        Ok(())
    }

    pub(crate) fn file(
        &mut self,
        path: &str,
        owner: Owner,
        mode: u32,
        contents: &str,
    ) -> Result<(), ProvisioningError> {
        self.claim(path)?;
        self.nodes.push(Node::File {
            path: path.to_owned(),
            owner,
            mode,
            contents: contents.to_owned(),
        });
        Ok(())
    }

    pub(crate) fn link(&mut self, path: &str, target: &str) -> Result<(), ProvisioningError> {
        self.claim(path)?;
        self.nodes.push(Node::Link {
            path: path.to_owned(),
            target: target.to_owned(),
        });
        Ok(())
    }

    pub(crate) fn unit(&mut self, name: &str, unit: Unit) -> Result<(), ProvisioningError> {
        self.claim(name)?;
        self.units.push((name.to_owned(), unit));
        Ok(())
    }

    /// A path is absolute and the name of a unit is not, so they never meet.
    fn claim(&mut self, name: &str) -> Result<(), ProvisioningError> {
        if self.names.insert(name.to_owned()) {
            Ok(())
        } else {
            Err(ProvisioningError::Twice(name.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_taken_by_whatever_node_has_it() {
        let mut guest = Description::default();
        guest.directory("/a", Owner::Root).unwrap();
        for error in [
            guest.file("/a", Owner::Root, 0o644, "").unwrap_err(),
            guest.link("/a", "/b").unwrap_err(),
            guest.directory("/a", Owner::Root).unwrap_err(),
        ] {
            assert_eq!(
                error.to_string(),
                "`/a` is in the first-boot configuration twice"
            );
        }
    }

    #[test]
    fn a_unit_is_named_once() {
        let mut guest = Description::default();
        guest.unit("a.service", Unit::Masked).unwrap();
        assert!(matches!(
            guest.unit("a.service", Unit::Disabled),
            Err(ProvisioningError::Twice(_))
        ));
    }
}
