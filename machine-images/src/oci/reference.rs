//! What a user writes to name a disk in a registry: `docker://HOST/REPOSITORY[:TAG][@DIGEST]`.

use std::fmt;

use oci_spec::distribution::{ParseError, Reference as Parsed};

use super::error::OciError;
use crate::checksum::Checksum;

/// How podman marks such a name; it may be left out here.
const SCHEME: &str = "docker://";

/// The name of something in a registry, always with a tag or a digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    parsed: Parsed,
    digest: Option<Checksum>,
}

impl Reference {
    /// Reads `[docker://][HOST/]REPOSITORY[:TAG][@sha256:…]`. `tag` is taken where there is neither a tag nor a
    /// digest. Without a host the name is Docker Hub's, as everywhere.
    pub fn parse(text: &str, tag: &str) -> Result<Self, OciError> {
        let name = text.strip_prefix(SCHEME).unwrap_or(text);
        let refused = |reason: String| OciError::Reference {
            text: text.to_owned(),
            reason,
        };
        let is_bare = !name
            .rsplit('/')
            .next()
            .is_some_and(|last| last.contains([':', '@']));
        let whole = if is_bare && !name.is_empty() {
            format!("{name}:{tag}")
        } else {
            name.to_owned()
        };
        let parsed: Parsed = whole
            .parse()
            .map_err(|error: ParseError| refused(error.to_string()))?;
        let digest = parsed.digest().map(str::parse).transpose();
        let digest = digest.map_err(|_| refused("only sha256 digests are supported".to_owned()))?;
        Ok(Self { parsed, digest })
    }

    /// The registry, with its port where it has one, as it is named: `quay.io`.
    pub fn registry(&self) -> &str {
        self.parsed.registry()
    }

    /// The path of the repository in its registry: `podman/machine-os`.
    pub fn repository(&self) -> &str {
        self.parsed.repository()
    }

    /// The registry and the repository.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry(), self.repository())
    }

    /// The tag, which says nothing where there is a digest too.
    pub fn tag(&self) -> Option<&str> {
        self.parsed.tag()
    }

    /// The digest of the manifest that is wanted and no other.
    pub fn digest(&self) -> Option<Checksum> {
        self.digest
    }

    /// What a registry is asked for: the digest, else the tag.
    pub(super) fn version(&self) -> String {
        match (self.digest, self.tag()) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.unwrap_or("latest").to_owned(),
        }
    }

    /// The same name for exactly this manifest.
    #[must_use]
    pub fn pinned(&self, digest: Checksum) -> Self {
        Self {
            parsed: self.parsed.clone_with_digest(digest.to_string()),
            digest: Some(digest),
        }
    }
}

/// Without the scheme, as podman prints it.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.parsed, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn a_name_has_a_tag_or_a_digest() {
        for (text, whole, version) in [
            (
                "docker://quay.io/podman/machine-os",
                "quay.io/podman/machine-os:6.0",
                "6.0",
            ),
            (
                "quay.io/podman/machine-os:next",
                "quay.io/podman/machine-os:next",
                "next",
            ),
            (
                "docker://localhost:5000/a/b",
                "localhost:5000/a/b:6.0",
                "6.0",
            ),
            (
                &format!("docker://quay.io/a@{DIGEST}"),
                &format!("quay.io/a@{DIGEST}"),
                DIGEST,
            ),
            (
                &format!("docker://quay.io/a:1@{DIGEST}"),
                &format!("quay.io/a:1@{DIGEST}"),
                DIGEST,
            ),
            ("docker://a/b", "docker.io/a/b:6.0", "6.0"),
            ("docker://a", "docker.io/library/a:6.0", "6.0"),
        ] {
            let reference = Reference::parse(text, "6.0").unwrap();
            assert_eq!(reference.to_string(), whole);
            assert_eq!(reference.version(), version, "{text}");
        }
        let reference = Reference::parse("docker://h:1/r/s:t", "6.0").unwrap();
        assert_eq!(
            (reference.registry(), reference.repository()),
            ("h:1", "r/s")
        );
        let pinned = reference.pinned(DIGEST.parse().unwrap());
        assert_eq!(pinned.to_string(), format!("h:1/r/s@{DIGEST}"));
    }

    #[test]
    fn other_text_is_refused() {
        for text in [
            "",
            "docker://",
            "docker://quay.io/",
            "docker://quay.io/Upper",
            "docker://quay.io/a b",
            "docker://quay.io/../a",
            "docker://user@quay.io/a",
            "http://quay.io/a",
            "docker://quay.io/a:",
            "docker://quay.io/a@sha256:12",
            "docker://quay.io/a\u{0}",
            "docker://quay.io/a?x",
        ] {
            let error = Reference::parse(text, "6.0").unwrap_err();
            assert!(
                error
                    .to_string()
                    .starts_with(&format!("`{text}` names nothing in a registry: ")),
                "{error}"
            );
        }
        let sha512 = format!("quay.io/a@sha512:{}", "0".repeat(128));
        assert!(Reference::parse(&sha512, "6.0").is_err());
    }
}
