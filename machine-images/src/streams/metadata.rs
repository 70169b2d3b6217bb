//! The JSON of streams and releases.
//!
//! Only what a disk image needs is read, and other keys are ignored. Architectures, platforms and formats are maps, so
//! that new ones need no change here; a platform of another shape is an error only for who asks for it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::MAX_METADATA_BYTES;
use super::error::StreamError;
use super::reference::StreamRef;

/// What a stream or a release offers.
#[derive(Clone, Debug)]
pub struct Metadata {
    pub(super) reference: StreamRef,
    pub(super) origin: String,
    last_modified: Option<String>,
    pub(super) architectures: BTreeMap<String, Platforms>,
}

/// The platforms of an architecture; `None` for one of another shape.
pub(super) type Platforms = BTreeMap<String, Option<Platform>>;

/// The images for a platform.
#[derive(Clone, Debug)]
pub(super) struct Platform {
    pub(super) release: String,
    pub(super) formats: BTreeMap<String, Disk>,
}

/// One image: its field names are the JSON's.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Disk {
    pub(super) location: Option<String>,
    pub(super) signature: Option<String>,
    pub(super) sha256: Option<String>,
    pub(super) uncompressed_sha256: Option<String>,
}

impl Metadata {
    /// Reads the document of `reference`, which was found at `origin`: a URL or a file's name, for errors.
    pub fn parse(reference: &StreamRef, origin: &str, json: &[u8]) -> Result<Self, StreamError> {
        if json.len() > MAX_METADATA_BYTES {
            return Err(StreamError::TooLarge {
                origin: origin.to_owned(),
            });
        }
        let read = if reference.release.is_none() {
            decode::<StreamFile>(origin, json)?.read()
        } else {
            decode::<ReleaseFile>(origin, json)?.read()
        };
        if read.of != reference.to_string() {
            return Err(StreamError::OtherStream {
                origin: origin.to_owned(),
                expected: reference.clone(),
                found: read.of,
            });
        }
        Ok(Self {
            reference: reference.clone(),
            origin: origin.to_owned(),
            last_modified: read.last_modified,
            architectures: read.architectures,
        })
    }

    /// When the document was changed last, as it says itself (RFC 3339).
    pub fn last_modified(&self) -> Option<&str> {
        self.last_modified.as_deref()
    }
}

/// What both documents tell.
struct Read {
    /// The stream, or the release as a [`StreamRef`] writes it.
    of: String,
    last_modified: Option<String>,
    architectures: BTreeMap<String, Platforms>,
}

fn decode<T: DeserializeOwned>(origin: &str, json: &[u8]) -> Result<T, StreamError> {
    serde_json::from_slice(json).map_err(|source| StreamError::Json {
        origin: origin.to_owned(),
        source,
    })
}

fn platforms<T: DeserializeOwned>(
    found: BTreeMap<String, Value>,
    read: impl Fn(T) -> Platform,
) -> Platforms {
    let platform = |value| serde_json::from_value(value).ok().map(&read);
    found
        .into_iter()
        .map(|(name, value)| (name, platform(value)))
        .collect()
}

/// The document of a stream.
#[derive(Deserialize)]
struct StreamFile {
    stream: String,
    #[serde(default)]
    metadata: Header,
    architectures: BTreeMap<String, StreamArchitecture>,
}

impl StreamFile {
    fn read(self) -> Read {
        let architectures = self.architectures.into_iter().map(|(name, architecture)| {
            (
                name,
                platforms(architecture.artifacts, StreamPlatform::read),
            )
        });
        Read {
            of: self.stream,
            last_modified: self.metadata.last_modified,
            architectures: architectures.collect(),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Header {
    last_modified: Option<String>,
}

#[derive(Deserialize)]
struct StreamArchitecture {
    #[serde(default)]
    artifacts: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct StreamPlatform {
    release: String,
    #[serde(default)]
    formats: Formats,
}

impl StreamPlatform {
    fn read(self) -> Platform {
        Platform {
            release: self.release,
            formats: disks(self.formats),
        }
    }
}

/// The document of a release: the same images under other names, with one release for all.
#[derive(Deserialize)]
struct ReleaseFile {
    release: String,
    stream: String,
    #[serde(default)]
    metadata: Header,
    architectures: BTreeMap<String, ReleaseArchitecture>,
}

impl ReleaseFile {
    fn read(self) -> Read {
        let architectures = self.architectures.into_iter().map(|(name, architecture)| {
            let read = |platform| ReleasePlatform::read(platform, &self.release);
            (name, platforms(architecture.media, read))
        });
        Read {
            architectures: architectures.collect(),
            of: format!("{}@{}", self.stream, self.release),
            last_modified: self.metadata.last_modified,
        }
    }
}

#[derive(Deserialize)]
struct ReleaseArchitecture {
    #[serde(default)]
    media: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct ReleasePlatform {
    #[serde(default)]
    artifacts: Formats,
}

impl ReleasePlatform {
    fn read(self, release: &str) -> Platform {
        Platform {
            release: release.to_owned(),
            formats: disks(self.artifacts),
        }
    }
}

type Formats = BTreeMap<String, Format>;

/// What a format consists of: a disk, or a kernel and its file systems, which are no disk.
#[derive(Deserialize)]
struct Format {
    disk: Option<Disk>,
}

fn disks(formats: Formats) -> BTreeMap<String, Disk> {
    let disk = |(name, format): (String, Format)| format.disk.map(|disk| (name, disk));
    formats.into_iter().filter_map(disk).collect()
}
