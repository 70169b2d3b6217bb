//! What is built in about where images come from: `catalog.toml`.

use std::collections::BTreeMap;
use std::ffi::OsStr;

use serde::Deserialize;

use crate::reference::{Reference, ReferenceError};

/// The file, as it was when the program was built.
const BUILT_IN: &str = include_str!("../catalog.toml");
/// The format that is read.
const FORMAT: u64 = 1;

/// Where images come from when nobody says another place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalog {
    /// The site of the streams, a URL without a slash at its end.
    pub streams_site: String,
    /// The tag of an artifact that is named without one.
    pub tag: String,
    defaults: BTreeMap<String, Reference>,
}

/// The catalog cannot be used, which is an error of this program, or has no image of a kind.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// It is not written as it should be.
    #[error("The built-in catalog of images cannot be read")]
    Syntax(#[from] toml::de::Error),
    /// It has another format.
    #[error("The built-in catalog of images has format {found}, and format {FORMAT} is read")]
    Format {
        /// Its format.
        found: u64,
    },
    /// It names an image that cannot be one.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// Nobody has named an image, and it has none.
    #[error("No image is built in for disks of the kind `{disktype}`")]
    NoDefault {
        /// The kind of disk.
        disktype: String,
    },
}

impl CatalogError {
    /// What the user can do about it.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::NoDefault { .. } => vec![
                "name one with `--image`, or in `config.toml` as `default` in `[image]`".to_owned(),
            ],
            _ => Vec::new(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: u64,
    streams: Streams,
    registry: Registry,
    default: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Streams {
    site: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Registry {
    tag: String,
}

impl Catalog {
    /// The catalog that this program was built with.
    pub fn built_in() -> Result<Self, CatalogError> {
        Self::parse(BUILT_IN)
    }

    fn parse(text: &str) -> Result<Self, CatalogError> {
        let file: File = toml::from_str(text)?;
        if file.format != FORMAT {
            return Err(CatalogError::Format { found: file.format });
        }
        let mut defaults = BTreeMap::new();
        for (disktype, image) in file.default {
            defaults.insert(disktype, Reference::parse(OsStr::new(&image))?);
        }
        Ok(Self {
            streams_site: file.streams.site.trim_end_matches('/').to_owned(),
            tag: file.registry.tag,
            defaults,
        })
    }

    /// The image of machines whose disks are of this kind, in the words of podman's artifacts, as `qemu`.
    pub fn default_image(&self, disktype: &str) -> Result<Reference, CatalogError> {
        let found = self.defaults.get(disktype);
        found.cloned().ok_or_else(|| CatalogError::NoDefault {
            disktype: disktype.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci;

    #[test]
    fn what_is_built_in_can_be_used() {
        let catalog = Catalog::built_in().unwrap();
        let site: url::Url = catalog.streams_site.parse().unwrap();
        assert_eq!((site.scheme(), site.path()), ("https", "/"));
        for disktype in ["qemu", "applehv", "hyperv"] {
            let stable = Reference::Stream("stable".parse().unwrap());
            assert_eq!(catalog.default_image(disktype).unwrap(), stable);
        }
        let Reference::Artifact(name) = catalog.default_image("wsl").unwrap() else {
            panic!("an artifact");
        };
        oci::Reference::parse(&name, &catalog.tag).unwrap();
        let none = catalog.default_image("vbox").unwrap_err();
        assert!(none.to_string().contains("`vbox`"), "{none}");
        assert!(!none.hints().is_empty());
        assert_eq!(catalog.defaults.len(), 4);
    }

    #[test]
    fn what_is_unknown_or_wrong_is_refused() {
        for (old, new) in [
            ("format = 1", "format = 2"),
            ("format = 1", "format = 1\ncolour = 1"),
            ("[streams]", "[streams]\nmirror = \"x\""),
            ("[registry]", "[registry]\nname = \"x\""),
            ("tag = \"latest\"", ""),
            ("qemu = \"stable\"", "qemu = \"ftp://h/x\""),
        ] {
            assert!(BUILT_IN.contains(old), "{old}");
            assert!(
                Catalog::parse(&BUILT_IN.replace(old, new)).is_err(),
                "{new}"
            );
        }
    }
}
