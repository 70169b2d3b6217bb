//! From the description of a guest to Ignition's typed configuration, with `overwrite` on every node.

use ignition_config::{v3_2 as schema, v3_3};
use serde_json::Value;

use crate::guest::{DROP_IN, Description, Node, Owner, ProvisioningError, Unit, User};
use crate::units::{AGENT_UNIT, AGENT_UNIT_TEXT};

/// A configuration that is being made.
pub(super) struct Document {
    config: schema::Config,
    kernel_arguments: Vec<v3_3::KernelArgument>,
}

impl Document {
    /// What the guest with this user is told.
    pub(super) fn of(guest: &Description, user: &str) -> Self {
        let mut document = Self {
            config: schema::Config::default(),
            kernel_arguments: Vec::new(),
        };
        for name in &guest.removed_users {
            document.user(schema::User {
                should_exist: Some(false),
                ..schema::User::new(name.clone())
            });
        }
        for user in &guest.users {
            document.user(somebody(user));
        }
        for node in &guest.nodes {
            document.node(node, user);
        }
        for (name, unit) in &guest.units {
            document.unit(described(name, unit));
        }
        document
    }

    /// The unit that finds the agent on the seed disk.
    pub(super) fn agent(&mut self) {
        self.unit(schema::Unit {
            enabled: Some(true),
            contents: Some(AGENT_UNIT_TEXT.to_owned()),
            ..schema::Unit::new(AGENT_UNIT.to_owned())
        });
    }

    /// A unit of the image that nothing is to start by itself.
    pub(super) fn disable(&mut self, name: &str) {
        self.unit(described(name, &Unit::Disabled));
    }

    pub(super) fn kernel_argument(&mut self, argument: &str) {
        self.kernel_arguments.push(argument.to_owned());
    }

    fn user(&mut self, user: schema::User) {
        let passwd = self.config.passwd.get_or_insert_default();
        passwd.users.get_or_insert_default().push(user);
    }

    fn unit(&mut self, unit: schema::Unit) {
        let systemd = self.config.systemd.get_or_insert_default();
        systemd.units.get_or_insert_default().push(unit);
    }

    fn node(&mut self, node: &Node, guest_user: &str) {
        let storage = self.config.storage.get_or_insert_default();
        match node {
            Node::Directory { path, owner } => {
                let (user, group) = owner_of(*owner, guest_user);
                let directories = storage.directories.get_or_insert_default();
                directories.push(schema::Directory {
                    mode: Some(0o755),
                    user,
                    group,
                    // On a directory `overwrite` would empty it: an existing one is kept, and that is no error.
                    ..schema::Directory::new(path.clone())
                });
            }
            Node::File {
                path,
                owner,
                mode,
                contents,
            } => {
                let (user, group) = owner_of(*owner, guest_user);
                storage.files.get_or_insert_default().push(schema::File {
                    mode: Some(i64::from(*mode)),
                    overwrite: Some(true),
                    user,
                    group,
                    contents: Some(schema::Resource {
                        source: Some(data_url(contents)),
                        ..schema::Resource::default()
                    }),
                    ..schema::File::new(path.clone())
                });
            }
            Node::Link { path, target } => {
                storage.links.get_or_insert_default().push(schema::Link {
                    overwrite: Some(true),
                    ..schema::Link::new(path.clone(), target.clone())
                });
            }
        }
    }

    /// The document. Absent values are left out (the types would write `null`), which makes it half as long.
    pub(super) fn finish(self) -> Result<String, ProvisioningError> {
        let mut document = serde_json::to_value(self.config).map_err(ProvisioningError::Json)?;
        if !self.kernel_arguments.is_empty() {
            // A later specification has them, and everything else as it was.
            let arguments = v3_3::KernelArguments {
                should_exist: Some(self.kernel_arguments),
                should_not_exist: None,
            };
            document["kernelArguments"] =
                serde_json::to_value(arguments).map_err(ProvisioningError::Json)?;
            document["ignition"]["version"] = Value::from("3.3.0");
        }
        drop_nulls(&mut document);
        Ok(document.to_string())
    }
}

fn somebody(user: &User) -> schema::User {
    let groups = user.groups.iter().map(|&group| group.to_owned()).collect();
    schema::User {
        uid: user.uid.map(i64::from),
        groups: Some(groups).filter(|groups: &Vec<String>| !groups.is_empty()),
        ssh_authorized_keys: user.authorized_key.clone().map(|key| vec![key]),
        ..schema::User::new(user.name.clone())
    }
}

fn described(name: &str, unit: &Unit) -> schema::Unit {
    let plain = schema::Unit::new(name.to_owned());
    match unit {
        Unit::Enabled { .. } => schema::Unit {
            enabled: Some(true),
            ..plain
        },
        Unit::Disabled => schema::Unit {
            enabled: Some(false),
            ..plain
        },
        Unit::Masked => schema::Unit {
            mask: Some(true),
            ..plain
        },
        Unit::DropIn { text } => schema::Unit {
            dropins: Some(vec![schema::Dropin {
                contents: Some(text.clone()),
                ..schema::Dropin::new(DROP_IN.to_owned())
            }]),
            ..plain
        },
    }
}

fn owner_of(owner: Owner, user: &str) -> (Option<schema::NodeUser>, Option<schema::NodeGroup>) {
    match owner {
        Owner::Root => (None, None),
        Owner::User => (
            Some(schema::NodeUser {
                id: None,
                name: Some(user.to_owned()),
            }),
            Some(schema::NodeGroup {
                id: None,
                name: Some(user.to_owned()),
            }),
        ),
    }
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// `text` as a `data:` URL, percent-encoded.
fn data_url(text: &str) -> String {
    let mut url = String::from("data:,");
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                url.push(char::from(byte));
            }
            _ => {
                const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
                url.push('%');
                url.push(char::from(DIGITS[usize::from(byte >> 4)]));
                url.push(char::from(DIGITS[usize::from(byte & 0xf)]));
            }
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_urls() {
        for (text, url) in [
            ("", "data:,"),
            ("core:100000:1000000\n", "data:,core%3A100000%3A1000000%0A"),
            ("100% ä+/", "data:,100%25%20%C3%A4%2B/"),
        ] {
            assert_eq!(data_url(text), url);
        }
    }
}
