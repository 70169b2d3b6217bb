//! `image.toml`: what is known of an image in the cache.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::checksum::Checksum;
use crate::stored::Stored;
use crate::validator::Validator;

/// The version that is written. A reader takes every `1.x`, for a newer minor only adds keys.
const FORMAT: &str = "1.1";

/// How it was made sure that the bytes are the right ones, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verified {
    /// Their publisher's signature is good.
    Signature,
    /// They have the checksum that was asked for.
    Checksum,
    /// They came from a server with a valid certificate, and that is all; a checksum that lay beside them is from there, too.
    Tls,
    /// They came in a [bundle](crate::bundle), which says that they were checked elsewhere.
    Bundle,
    /// Nobody knows: the user said so.
    No,
}

/// Where an image came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Source {
    /// The URL, without a password; or, as `stream:…`, the stream that offered it.
    pub(crate) url: String,
    /// When it was there last.
    pub(crate) seen: Timestamp,
    #[serde(flatten)]
    pub(crate) validator: Validator,
}

/// What `image.toml` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) format: String,
    /// The SHA-256 of the file as it came, with `sha256:` before it.
    pub(crate) checksum: Checksum,
    /// The length of the file as it came.
    pub(crate) bytes: u64,
    /// How it was packed, if it was: `xz`, `zstd`, `gzip`, `bzip2`, `zip`, `tar`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) packing: Option<String>,
    /// The SHA-256 of that file as it was made, holes as zeroes. Not in format 1.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) content: Option<Checksum>,
    /// The name of the file with the disk or the tree, which says how it is stored.
    pub(crate) disk: String,
    /// The disk's size as the guest sees it; the length of a tree's archive.
    pub(crate) virtual_bytes: u64,
    pub(crate) verified: Verified,
    /// Whose signature they have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) signer: Option<String>,
    /// What a person calls it: `Fedora CoreOS stable 44.20261101.3.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<String>,
    /// The publisher's number of it: `44.20261101.3.0`. Not in format 1.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) release: Option<String>,
    /// Where it came from, the latest last.
    #[serde(default)]
    pub(crate) source: Vec<Source>,
}

impl Record {
    pub(crate) fn new(base: &crate::base::Base, verified: Verified, source: Vec<Source>) -> Self {
        Self {
            format: FORMAT.to_owned(),
            checksum: base.checksum,
            bytes: base.bytes,
            packing: base.packing.map(|packing| packing.name().to_owned()),
            content: Some(base.content),
            disk: base.stored.file_name().to_owned(),
            virtual_bytes: base.virtual_bytes,
            verified,
            signer: base.signer.as_ref().map(ToString::to_string),
            title: None,
            release: None,
            source,
        }
    }

    /// `None`: it is none, or one of a later major version.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let record: Self = toml::from_str(text).ok()?;
        let known = record.format.split_once('.')?.0 == "1";
        // A name that leads elsewhere is no name of ours.
        (known && Stored::by_file_name(&record.disk).is_some()).then_some(record)
    }

    /// It was seen there; what was known of that place before is replaced.
    pub(crate) fn see(&mut self, source: Source) {
        self.source.retain(|known| known.url != source.url);
        self.source.push(source);
    }

    /// What was known when it was last had from there.
    pub(crate) fn from(&self, url: &str) -> Option<&Source> {
        self.source.iter().find(|source| source.url == url)
    }
}
