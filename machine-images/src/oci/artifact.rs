//! Which of an index's manifests is the wanted disk, and which layer of that manifest is the disk's file.
//!
//! The formats are OCI's image index and image manifest (image-spec 1.1), or Docker's older ones of the same shape.
//! The rules are podman's: the annotation `disktype` says for which kind of machine a disk is, architectures have the
//! kernel's names, and the title of the only layer is the name of the file. Nothing here trusts what it reads: the
//! caller has compared the bytes with their digest, and the publisher may still be wrong or hostile.

use std::collections::HashMap;

use oci_spec::image::{Descriptor, ImageIndex, ImageManifest};

use super::error::OciError;
use crate::checksum::Checksum;

/// A larger index or manifest is refused, as podman does.
pub const MANIFEST_LIMIT: usize = 4 << 20;

/// The types of a manifest that lists others.
const INDEXES: [&str; 2] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];
/// The types of a manifest that lists layers.
const MANIFESTS: [&str; 2] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];
/// The types of a disk's layer. Podman's builds have the first; where the building host knows no type for `.zst`,
/// podman writes one of the general ones.
const LAYERS: [&str; 4] = [
    "application/zstd",
    "application/x-zstd",
    "application/octet-stream",
    "binary/octet-stream",
];
const DISKTYPE: &str = "disktype";
const TITLE: &str = "org.opencontainers.image.title";
const VERSION: &str = "org.opencontainers.image.version";
/// The longest name of a file on the hosts.
const LONGEST_TITLE: usize = 255;

/// Which disk of an artifact is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// The kind of machine: `qemu`, `applehv`, `hyperv` or `wsl`.
    pub disktype: &'a str,
    /// The architecture by the kernel's name: `x86_64` or `aarch64`.
    pub architecture: &'a str,
}

/// A manifest that an index lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// What its bytes digest to.
    pub digest: Checksum,
    /// How many bytes it has.
    pub bytes: u64,
    /// The release, where the index says it.
    pub release: Option<String>,
}

/// The file that a manifest holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// What its bytes digest to.
    pub checksum: Checksum,
    /// How many bytes it is said to have.
    pub bytes: u64,
    /// Its name: a label, without a directory.
    pub title: String,
    /// The release, where the manifest says it.
    pub release: Option<String>,
}

/// The values of `Accept` for everything that can answer.
pub(super) fn accepted() -> String {
    [&INDEXES[..], &MANIFESTS].concat().join(", ")
}

/// The type that an answer has: what the server says, else what the document says of itself.
fn named_type<'a>(header: &'a str, own: Option<&'a str>) -> &'a str {
    let header = header.split(';').next().unwrap_or_default().trim();
    if header.is_empty() {
        own.unwrap_or("unknown")
    } else {
        header
    }
}

/// Refuses what is no index before it is read: a server that is no registry answers with anything.
fn parsed<T: serde::de::DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T, OciError> {
    if bytes.len() > MANIFEST_LIMIT {
        return Err(OciError::TooLarge {
            what: what.to_owned(),
            limit: MANIFEST_LIMIT,
        });
    }
    serde_json::from_slice(bytes).map_err(|source| OciError::Document {
        what: what.to_owned(),
        source,
    })
}

/// The first disk of the index that is the wanted one. `content_type` is the server's header, `of` the name of the
/// artifact for errors.
pub fn listed(
    bytes: &[u8],
    content_type: &str,
    of: &str,
    wanted: &Wanted<'_>,
) -> Result<Listed, OciError> {
    let own = own_type(bytes);
    let media_type = named_type(content_type, own.as_deref());
    if !INDEXES.contains(&media_type) {
        return Err(OciError::WrongType {
            media_type: shown(media_type),
        });
    }
    let index: ImageIndex = parsed(bytes, &format!("The index of {of}"))?;
    let mut there = Vec::new();
    for entry in index.manifests() {
        let Some((disktype, architecture)) = disk(entry) else {
            continue;
        };
        if (disktype, architecture.as_str()) == (wanted.disktype, wanted.architecture) {
            return Ok(Listed {
                digest: digest(entry, of)?,
                bytes: entry.size(),
                release: release([entry.annotations(), index.annotations()]),
            });
        }
        there.push(format!("{}/{}", shown(disktype), shown(&architecture)));
    }
    there.sort();
    there.dedup();
    Err(OciError::NoArtifact {
        of: of.to_owned(),
        wanted: format!("{}/{}", wanted.disktype, wanted.architecture),
        there,
    })
}

/// The kind and the architecture of an entry that is a disk for Linux.
fn disk(entry: &Descriptor) -> Option<(&str, String)> {
    let disktype = entry.annotations().as_ref()?.get(DISKTYPE)?;
    let platform = entry.platform().as_ref()?;
    let is_linux = platform.os().to_string() == "linux";
    is_linux.then(|| (disktype.as_str(), platform.architecture().to_string()))
}

/// The only layer of a disk's manifest.
pub fn only_file(bytes: &[u8], content_type: &str, of: &str) -> Result<File, OciError> {
    let own = own_type(bytes);
    let media_type = named_type(content_type, own.as_deref());
    if !MANIFESTS.contains(&media_type) {
        return Err(OciError::WrongType {
            media_type: shown(media_type),
        });
    }
    let manifest: ImageManifest = parsed(bytes, &format!("The manifest of {of}"))?;
    let [layer] = manifest.layers().as_slice() else {
        return Err(OciError::Layers {
            count: manifest.layers().len(),
        });
    };
    let annotations = layer.annotations().as_ref();
    let title = annotations
        .and_then(|annotations| annotations.get(TITLE))
        .ok_or(OciError::NoTitle)?;
    if !is_plain(title) {
        return Err(OciError::Title {
            title: shown(title),
        });
    }
    let media_type = layer.media_type().to_string();
    if !LAYERS.contains(&media_type.as_str()) {
        return Err(OciError::LayerType {
            of: of.to_owned(),
            media_type: shown(&media_type),
        });
    }
    Ok(File {
        checksum: digest(layer, of)?,
        bytes: layer.size(),
        title: title.clone(),
        release: release([layer.annotations(), manifest.annotations()]),
    })
}

/// What the document calls itself, where it is one.
fn own_type(bytes: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Own {
        #[serde(rename = "mediaType")]
        media_type: Option<String>,
    }
    let bytes = bytes.get(..MANIFEST_LIMIT).unwrap_or(bytes);
    serde_json::from_slice::<Own>(bytes).ok()?.media_type
}

fn digest(entry: &Descriptor, of: &str) -> Result<Checksum, OciError> {
    entry
        .digest()
        .to_string()
        .parse()
        .map_err(|_| OciError::DigestKind {
            of: of.to_owned(),
            digest: shown(entry.digest().as_ref()),
        })
}

fn release<'a>(
    places: impl IntoIterator<Item = &'a Option<HashMap<String, String>>>,
) -> Option<String> {
    let mut places = places.into_iter().flatten();
    let release = places.find_map(|annotations| annotations.get(VERSION))?;
    Some(shown(release))
}

/// Whether a title is the name of a file and nothing else, on every host.
fn is_plain(title: &str) -> bool {
    let forbidden = |character: char| {
        character.is_control() || matches!(character, '/' | '\\' | ':' | '\u{202a}'..='\u{202e}')
    };
    !title.is_empty()
        && title.len() <= LONGEST_TITLE
        && title != "."
        && title != ".."
        && !title.contains(forbidden)
}

/// Somebody else's text for a terminal: short, and without control characters.
pub(super) fn shown(text: &str) -> String {
    let harmless = text.chars().map(|character| match character {
        '\u{202a}'..='\u{202e}' => '?',
        character if character.is_control() => '?',
        character => character,
    });
    harmless.take(LONGEST_TITLE).collect()
}

#[cfg(test)]
#[path = "artifact_tests.rs"]
mod tests;
