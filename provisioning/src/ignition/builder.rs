//! A small builder over the typed configuration: no path and no unit twice, `overwrite` on every node.

use std::collections::BTreeSet;

use ignition_config::{v3_2 as schema, v3_3};
use serde_json::Value;

use super::ProvisioningError;

/// Who owns a file or directory.
#[derive(Clone, Copy)]
pub(super) enum Owner<'a> {
    Root,
    User(&'a str),
}

/// Collects the parts of a configuration.
pub(super) struct Builder {
    config: schema::Config,
    paths: BTreeSet<String>,
    units: BTreeSet<String>,
    kernel_arguments: Vec<v3_3::KernelArgument>,
}

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            config: schema::Config::default(),
            paths: BTreeSet::new(),
            units: BTreeSet::new(),
            kernel_arguments: Vec::new(),
        }
    }

    pub(super) fn user(&mut self, user: schema::User) {
        let passwd = self.config.passwd.get_or_insert_default();
        passwd.users.get_or_insert_default().push(user);
    }

    pub(super) fn directory(
        &mut self,
        path: &str,
        owner: Owner<'_>,
    ) -> Result<(), ProvisioningError> {
        self.claim(path)?;
        let (user, group) = owner_of(owner);
        let storage = self.config.storage.get_or_insert_default();
        storage
            .directories
            .get_or_insert_default()
            .push(schema::Directory {
                mode: Some(0o755),
                user,
                group,
                // On a directory `overwrite` would empty it: an existing one is kept, and that is no error.
                ..schema::Directory::new(path.to_owned())
            });
        Ok(())
    }

    pub(super) fn file(
        &mut self,
        path: &str,
        owner: Owner<'_>,
        mode: u32,
        contents: &str,
    ) -> Result<(), ProvisioningError> {
        self.claim(path)?;
        let (user, group) = owner_of(owner);
        let storage = self.config.storage.get_or_insert_default();
        storage.files.get_or_insert_default().push(schema::File {
            mode: Some(i64::from(mode)),
            overwrite: Some(true),
            user,
            group,
            contents: Some(schema::Resource {
                source: Some(data_url(contents)),
                ..schema::Resource::default()
            }),
            ..schema::File::new(path.to_owned())
        });
        Ok(())
    }

    pub(super) fn link(&mut self, path: &str, target: &str) -> Result<(), ProvisioningError> {
        self.claim(path)?;
        let storage = self.config.storage.get_or_insert_default();
        storage.links.get_or_insert_default().push(schema::Link {
            overwrite: Some(true),
            ..schema::Link::new(path.to_owned(), target.to_owned())
        });
        Ok(())
    }

    pub(super) fn unit(&mut self, unit: schema::Unit) -> Result<(), ProvisioningError> {
        if !self.units.insert(unit.name.clone()) {
            return Err(ProvisioningError::Twice(unit.name));
        }
        let systemd = self.config.systemd.get_or_insert_default();
        systemd.units.get_or_insert_default().push(unit);
        Ok(())
    }

    pub(super) fn kernel_argument(&mut self, argument: &str) {
        self.kernel_arguments.push(argument.to_owned());
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

    fn claim(&mut self, path: &str) -> Result<(), ProvisioningError> {
        if self.paths.insert(path.to_owned()) {
            Ok(())
        } else {
            Err(ProvisioningError::Twice(path.to_owned()))
        }
    }
}

fn owner_of(owner: Owner<'_>) -> (Option<schema::NodeUser>, Option<schema::NodeGroup>) {
    match owner {
        Owner::Root => (None, None),
        Owner::User(name) => (
            Some(schema::NodeUser {
                id: None,
                name: Some(name.to_owned()),
            }),
            Some(schema::NodeGroup {
                id: None,
                name: Some(name.to_owned()),
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

    #[test]
    fn a_path_is_taken_by_whatever_node_has_it() {
        let mut builder = Builder::new();
        builder.directory("/a", Owner::Root).unwrap();
        for error in [
            builder.file("/a", Owner::Root, 0o644, "").unwrap_err(),
            builder.link("/a", "/b").unwrap_err(),
            builder.directory("/a", Owner::Root).unwrap_err(),
        ] {
            assert_eq!(
                error.to_string(),
                "`/a` is in the Ignition configuration twice"
            );
        }
    }

    #[test]
    fn a_unit_is_named_once() {
        let mut builder = Builder::new();
        let unit = schema::Unit::new("a.service".to_owned());
        builder.unit(unit.clone()).unwrap();
        assert!(matches!(
            builder.unit(unit),
            Err(ProvisioningError::Twice(_))
        ));
    }
}
