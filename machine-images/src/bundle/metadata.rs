//! `machine-image.json`: what a bundle says of its image.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::BundleError;
use crate::cache::{CachedImage, Verified};
use crate::checksum::Checksum;
use crate::recognise::ImageForm;

/// The version that is written and read.
const FORMAT: u64 = 1;
/// The longest that is read: a place is a URL, and an image has few.
pub(super) const MAX_METADATA_BYTES: u64 = 256 << 10;

/// What is known of the image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Metadata {
    format: u64,
    /// What a person calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) title: Option<String>,
    /// The publisher's number of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) release: Option<String>,
    /// The SHA-256 of the file as it came, by which caches have it.
    pub(super) checksum: Checksum,
    /// The length of that file.
    pub(super) bytes: u64,
    /// How that file was packed, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) packing: Option<String>,
    /// Whether it is a tree and no disk.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    tree: bool,
    /// The SHA-256 of the unpacked disk.
    pub(super) content: Checksum,
    /// The length of the unpacked disk.
    pub(super) content_bytes: u64,
    /// How the file was checked when it was downloaded.
    pub(super) verified: Verified,
    /// Who had signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) signer: Option<String>,
    /// Where it came from, the latest last: URLs, and what offered it.
    #[serde(default)]
    pub(super) places: Vec<String>,
}

/// What every version has.
#[derive(Deserialize)]
struct Version {
    format: u64,
}

impl Metadata {
    /// What the cache knows of the image, whose disk has this content.
    pub(super) fn of(image: &CachedImage, content: Checksum, content_bytes: u64) -> Self {
        let record = image.record();
        Self {
            format: FORMAT,
            title: record.title.clone(),
            release: record.release.clone(),
            checksum: record.checksum,
            bytes: record.bytes,
            packing: record.packing.clone(),
            tree: image.form() == ImageForm::Tree,
            content,
            content_bytes,
            verified: record.verified,
            signer: record.signer.clone(),
            places: record
                .source
                .iter()
                .map(|known| known.url.clone())
                .collect(),
        }
    }

    /// Whether its content is a disk or a tree.
    pub(super) fn form(&self) -> ImageForm {
        if self.tree {
            ImageForm::Tree
        } else {
            ImageForm::Disk
        }
    }

    pub(super) fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec_pretty(self)
    }

    /// Reads the entry of the bundle `path`.
    pub(super) fn parse(path: &Path, json: &[u8]) -> Result<Self, BundleError> {
        let malformed = |source| BundleError::Metadata {
            path: path.to_owned(),
            source,
        };
        // First, since a newer version may have other keys.
        let Version { format } = serde_json::from_slice(json).map_err(malformed)?;
        if format != FORMAT {
            return Err(BundleError::Newer {
                path: path.to_owned(),
                found: format,
                supported: FORMAT,
            });
        }
        serde_json::from_slice(json).map_err(malformed)
    }
}
