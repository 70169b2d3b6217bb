//! Where the host's settings say that a registry's content is found: `registries.conf`, version 2.
//!
//! The format and its rules are containers-registries.conf(5)'s: the longest prefix decides; its mirrors are asked
//! before its own location; a file read later replaces what an earlier one says about the same prefix.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::access::Access;
use super::error::OciError;
use super::reference::Reference;

/// One place that may have what is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// The registry as it is named: with its port where it has one.
    pub(super) host: String,
    /// The path of the repository.
    pub(super) repository: String,
    /// A certificate that is not trusted is taken, and so is plain HTTP.
    pub(super) insecure: bool,
}

/// All that the settings say.
#[derive(Debug, Default)]
pub(super) struct Registries(BTreeMap<String, (Registry, PathBuf)>);

#[derive(Debug, Default, Deserialize)]
struct Document {
    #[serde(default, rename = "registry")]
    registries: Vec<Registry>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Registry {
    prefix: String,
    location: String,
    insecure: bool,
    blocked: bool,
    mirror_by_digest_only: bool,
    #[serde(rename = "mirror")]
    mirrors: Vec<Mirror>,
}

#[derive(Clone, Debug, Deserialize)]
struct Mirror {
    location: String,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    #[serde(rename = "pull-from-mirror")]
    pulls: Pulls,
}

/// For which names a mirror is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Pulls {
    #[default]
    #[serde(alias = "")]
    All,
    DigestOnly,
    TagOnly,
}

/// A rule that TOML does not know.
#[derive(Debug, thiserror::Error)]
enum Rule {
    #[error("`{0}` has a scheme: a location is a host, with a path where it has one")]
    Scheme(String),
    #[error("A registry has neither a prefix nor a location")]
    Nameless,
    #[error("The registry `{0}` has a mirror without a location")]
    MirrorNameless(String),
    #[error("The prefix `{0}` has a `*` that is not its beginning `*.`")]
    Wildcard(String),
}

impl Registries {
    /// Reads the first main file that is there, and all drop-ins of all directories.
    pub(super) fn read(access: &Access) -> Result<Self, OciError> {
        let mut all = Self::default();
        let main = access
            .registries_conf
            .iter()
            .find_map(|path| present(path).transpose().map(|text| (path, text)));
        if let Some((path, text)) = main {
            all.add(path, &text?)?;
        }
        for directory in &access.registries_conf_d {
            for path in drop_ins(directory)? {
                if let Some(text) = present(&path)? {
                    all.add(&path, &text)?;
                }
            }
        }
        Ok(all)
    }

    fn add(&mut self, path: &Path, text: &str) -> Result<(), OciError> {
        let unusable = |source: Box<dyn std::error::Error + Send + Sync>| OciError::Settings {
            path: path.to_owned(),
            source,
        };
        let document: Document = toml::from_str(text).map_err(|error| unusable(error.into()))?;
        for registry in document.registries {
            let registry = registry.checked().map_err(|rule| unusable(rule.into()))?;
            self.0
                .insert(registry.prefix.clone(), (registry, path.to_owned()));
        }
        Ok(())
    }

    /// The places to ask, in order; never none.
    pub(super) fn endpoints(&self, reference: &Reference) -> Result<Vec<Endpoint>, OciError> {
        let name = reference.name();
        let found = self
            .0
            .values()
            .filter_map(|(registry, file)| {
                Some((matching(&name, &registry.prefix)?, registry, file))
            })
            .max_by_key(|(length, ..)| *length);
        let Some((length, registry, file)) = found else {
            return Ok(vec![Endpoint {
                host: reference.registry().to_owned(),
                repository: reference.repository().to_owned(),
                insecure: false,
            }]);
        };
        if registry.blocked {
            return Err(OciError::Blocked {
                registry: registry.prefix.clone(),
                file: file.clone(),
            });
        }
        let rest = &name[length..];
        let place = |location: &str, insecure: bool| {
            let whole = if location.is_empty() {
                name.clone()
            } else {
                format!("{location}{rest}")
            };
            let (host, repository) = whole.split_once('/')?;
            Some(Endpoint {
                host: host.to_owned(),
                repository: repository.to_owned(),
                insecure,
            })
        };
        let has_digest = reference.digest().is_some();
        let asked = |mirror: &&Mirror| match (has_digest, mirror.pulls) {
            (true, pulls) => pulls != Pulls::TagOnly,
            (false, pulls) => !registry.mirror_by_digest_only && pulls != Pulls::DigestOnly,
        };
        let mirrors = registry.mirrors.iter().filter(asked);
        let endpoints: Option<Vec<Endpoint>> = mirrors
            .map(|mirror| (mirror.location.as_str(), mirror.insecure))
            .chain([(registry.location.as_str(), registry.insecure)])
            .map(|(location, insecure)| place(location, insecure))
            .collect();
        endpoints.ok_or_else(|| OciError::Settings {
            path: file.clone(),
            source: format!(
                "A location for `{}` leaves no repository of {name}",
                registry.prefix
            )
            .into(),
        })
    }
}

impl Registry {
    fn checked(mut self) -> Result<Self, Rule> {
        let trimmed = |text: &str| match text.trim_end_matches('/') {
            text if text.contains("://") => Err(Rule::Scheme(text.to_owned())),
            text => Ok(text.to_owned()),
        };
        self.location = trimmed(&self.location)?;
        self.prefix = trimmed(&self.prefix)?;
        if self.prefix.is_empty() {
            self.prefix.clone_from(&self.location);
        }
        if self.prefix.is_empty() {
            return Err(Rule::Nameless);
        }
        let plain = self.prefix.strip_prefix("*.").unwrap_or(&self.prefix);
        if plain.contains('*') {
            return Err(Rule::Wildcard(self.prefix));
        }
        let is_wildcard = plain.len() != self.prefix.len();
        if self.location.is_empty() && !is_wildcard {
            self.location.clone_from(&self.prefix);
        }
        for mirror in &mut self.mirrors {
            mirror.location = trimmed(&mirror.location)?;
            if mirror.location.is_empty() {
                return Err(Rule::MirrorNameless(self.prefix));
            }
        }
        Ok(self)
    }
}

/// How much of a name a prefix covers, where it does: whole components, or any host below a domain.
fn matching(name: &str, prefix: &str) -> Option<usize> {
    let length = match prefix.strip_prefix('*') {
        Some(domain) => {
            let at = name.find(domain)?;
            if at == 0 || name[..at].contains('/') {
                return None;
            }
            at + domain.len()
        }
        None => name.starts_with(prefix).then_some(prefix.len())?,
    };
    let rest = &name[length..];
    (rest.is_empty() || rest.starts_with(['/', ':', '@'])).then_some(length)
}

/// The text of a file, if it is there.
fn present(path: &Path) -> Result<Option<String>, OciError> {
    match fs_err::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(OciError::Settings {
            path: path.to_owned(),
            source: error.into(),
        }),
    }
}

/// The files that end in `.conf`, by their names.
fn drop_ins(directory: &Path) -> Result<Vec<PathBuf>, OciError> {
    let unusable = |error: io::Error| OciError::Settings {
        path: directory.to_owned(),
        source: error.into(),
    };
    let entries = match fs_err::read_dir(directory) {
        Ok(entries) => entries,
        Err(error)
            if [io::ErrorKind::NotFound, io::ErrorKind::PermissionDenied]
                .contains(&error.kind()) =>
        {
            return Ok(Vec::new());
        }
        Err(error) => return Err(unusable(error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(unusable)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "conf")
            && path.is_file()
        {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
#[path = "registries_tests.rs"]
mod tests;
