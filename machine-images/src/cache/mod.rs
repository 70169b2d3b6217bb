//! The images that were fetched, by content, unpacked and ready to make disks from.
//!
//! ```text
//! <data>/images/
//!   sha256-<64 hex>/           an image, named by the SHA-256 of the file as it came
//!     image.toml               what is known of it
//!     disk.qcow2 | disk.raw | tree.tar
//!                              the unpacked disk, or the unpacked tar archive of a system's files; read-only
//!   downloads/
//!     <key>.lock               held by the command that downloads
//!     <key>.part, .toml        what is there of a download, and what is known of that
//!     <key>.new/               an image that is being made
//!   .removed-<random>/         an image that is being deleted
//! ```
//!
//! An image is complete or not there: its directory is made under another name and renamed.

mod downloads;
mod record;
mod verify;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err as fs;
use jiff::Timestamp;
use machine_host::atomic::{self, Access};
use sha2::{Digest, Sha256};

pub use self::downloads::PrunedDownloads;
pub use self::record::Verified;
pub(crate) use self::record::{Record, Source};
pub use self::verify::{Damage, Verdict, VerifyError};
use crate::checksum::Checksum;
use crate::platform;
use crate::recognise::ImageForm;
use crate::stored::Stored;

const RECORD: &str = "image.toml";
const DOWNLOADS: &str = "downloads";

/// A file of the cache that cannot be removed.
#[derive(Debug, thiserror::Error)]
#[error("`{}` of the cache of images cannot be removed", path.display())]
pub struct CacheError {
    path: PathBuf,
    source: io::Error,
}

/// The directory of images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    directory: PathBuf,
}

/// A complete image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedImage {
    directory: PathBuf,
    record: Record,
}

impl CachedImage {
    /// The file with its disk, or its tree, which is not to be changed.
    pub fn disk(&self) -> PathBuf {
        self.directory.join(&self.record.disk)
    }

    /// The checksum of the file as it came.
    pub fn checksum(&self) -> Checksum {
        self.record.checksum
    }

    /// What a person calls it, if somebody said so: `Fedora CoreOS stable 44.20261101.3.0`.
    pub fn title(&self) -> Option<&str> {
        self.record.title.as_deref()
    }

    /// The publisher's number of it, where that is known: `44.20261101.3.0`.
    pub fn release(&self) -> Option<&str> {
        self.record.release.as_deref()
    }

    /// Where it was had last: a URL without a password, or an artifact's name.
    pub fn source(&self) -> &str {
        let places = self.record.source.iter().rev();
        let mut places = places.map(|source| source.url.as_str());
        let is_offer = |place: &&str| place.starts_with("stream:") || place.starts_with("docker:");
        places
            .clone()
            .find(|place| !is_offer(place))
            .or(places.next())
            .unwrap_or_default()
    }

    /// When it was had last by this reference, as a user writes it: a URL, `stable`, `docker://NAME`.
    pub fn had_by(&self, reference: &str) -> Option<Timestamp> {
        let stream = format!("stream:{reference}/");
        let artifact = format!("{reference}#");
        let is_it = |source: &&Source| {
            source.url == reference
                || source.url.starts_with(&stream)
                || reference.starts_with("docker://") && source.url.starts_with(&artifact)
        };
        let had = self.record.source.iter().filter(is_it);
        had.map(|source| source.seen).max()
    }

    /// When it was fetched or used last.
    pub fn used(&self) -> Timestamp {
        let seen = self.record.source.iter().map(|source| source.seen);
        seen.max().unwrap_or_default()
    }

    /// What its disk takes on the host.
    pub fn occupied_bytes(&self) -> u64 {
        fs::metadata(self.disk()).map_or(0, |facts| platform::occupied_bytes(&facts))
    }

    /// How it was made sure that it is the right one.
    pub fn verified(&self) -> Verified {
        self.record.verified
    }

    /// Whether it was checked when it came to this host, if only by its server's certificate.
    pub fn is_checked(&self) -> bool {
        matches!(
            self.record.verified,
            Verified::Signature | Verified::Checksum | Verified::Tls
        )
    }

    /// Says that it was seen at a place again.
    pub(crate) fn see(&self, source: Source) -> io::Result<Self> {
        let mut image = self.clone();
        image.record.see(source);
        write(&image.directory, &image.record)?;
        Ok(image)
    }

    /// Whether it is a disk or a tree.
    pub(crate) fn form(&self) -> ImageForm {
        match Stored::by_file_name(&self.record.disk) {
            Some(Stored::Tree) => ImageForm::Tree,
            _ => ImageForm::Disk,
        }
    }

    pub(crate) fn record(&self) -> &Record {
        &self.record
    }
}

impl Cache {
    /// The cache in this directory, which is made when it is needed.
    pub fn at(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Its directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The image of this content.
    pub fn find(&self, checksum: &Checksum) -> Option<CachedImage> {
        let image = read(self.image(checksum))?;
        (image.record.checksum == *checksum).then_some(image)
    }

    /// The image that was had last from this place.
    pub(crate) fn from(&self, url: &str) -> Option<CachedImage> {
        let images = self.list().into_iter();
        let seen = images.filter_map(|image| Some((image.record.from(url)?.seen, image)));
        seen.max_by_key(|(seen, _)| *seen).map(|(_, image)| image)
    }

    /// All images. What cannot be read is none.
    pub fn list(&self) -> Vec<CachedImage> {
        let Ok(entries) = fs::read_dir(&self.directory) else {
            return Vec::new();
        };
        let named = entries.flatten().filter(|entry| {
            let name = entry.file_name();
            name.to_str()
                .is_some_and(|name| name.starts_with("sha256-"))
        });
        named.filter_map(|entry| read(entry.path())).collect()
    }

    /// Takes an image out. Whoever has its disk open, or a second name of it, keeps that.
    pub fn remove(&self, image: &CachedImage) -> Result<(), CacheError> {
        self.put_away(&image.directory)
            .map_err(|source| CacheError {
                path: image.directory.clone(),
                source,
            })
    }

    /// Removes the downloads that nobody goes on with: those that no command holds and that have not grown for so long.
    /// With them goes what killed commands have left.
    pub fn prune_downloads(&self, idle: Duration) -> Result<PrunedDownloads, CacheError> {
        downloads::prune(&self.directory, idle)
    }

    /// The files of a download. Downloads with the same key are the same: of the same content where that is known, else
    /// of the same place.
    pub(crate) fn download(&self, checksum: Option<&Checksum>, url: &str) -> Download {
        let key = match checksum {
            Some(checksum) => checksum.hex(),
            None => Checksum::of(Sha256::new_with_prefix(url)).hex(),
        };
        Download {
            directory: self.directory.join(DOWNLOADS),
            key: key[..16].to_owned(),
        }
    }

    /// Makes what `draft` has an image. Where another command was faster, its image stays and is said to come from here
    /// as well.
    pub(crate) fn commit(&self, draft: &Draft, record: Record) -> io::Result<CachedImage> {
        let directory = self.image(&record.checksum);
        let there = read(directory.clone()).filter(|there| {
            // What is known by hearsay gives way to what was checked, and to the later hearsay.
            let is_hearsay = there.record.verified == Verified::Bundle;
            !is_hearsay || record.verified == Verified::Bundle && there.content() == record.content
        });
        if let Some(mut there) = there {
            for source in record.source {
                there.record.see(source);
            }
            // What was checked once stays so.
            there.record.verified = there.record.verified.min(record.verified);
            there.record.signer = there.record.signer.or(record.signer);
            there.record.title = there.record.title.or(record.title);
            there.record.release = there.record.release.or(record.release);
            write(&directory, &there.record)?;
            return Ok(there);
        }
        write(&draft.directory, &record)?;
        self.put_away(&directory)?;
        fs::rename(&draft.directory, &directory)?;
        platform::sync_parent(&directory)?;
        Ok(CachedImage { directory, record })
    }

    /// Removes what lies where an image belongs and is none.
    fn put_away(&self, directory: &Path) -> io::Result<()> {
        let trash = tempfile::Builder::new()
            .prefix(".removed-")
            .tempdir_in(&self.directory)?;
        match fs::rename(directory, trash.path().join("image")) {
            Ok(()) => trash.close(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn image(&self, checksum: &Checksum) -> PathBuf {
        self.directory.join(format!("sha256-{}", checksum.hex()))
    }
}

fn read(directory: PathBuf) -> Option<CachedImage> {
    let text = fs::read_to_string(directory.join(RECORD)).ok()?;
    let record = Record::parse(&text)?;
    let image = CachedImage { directory, record };
    image.disk().is_file().then_some(image)
}

fn write(directory: &Path, record: &Record) -> io::Result<()> {
    let text = toml::to_string(record).map_err(io::Error::other)?;
    atomic::write(&directory.join(RECORD), text.as_bytes(), Access::Private)
}

/// The files of a download.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartFiles {
    /// The bytes.
    pub(crate) bytes: PathBuf,
    /// What is known of them.
    pub(crate) record: PathBuf,
    /// Held by the command that downloads.
    pub(crate) lock: PathBuf,
}

/// Where a download and the image made from it lie until they are complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Download {
    directory: PathBuf,
    key: String,
}

impl Download {
    /// The files; their directory is made.
    pub(crate) fn files(&self) -> io::Result<PartFiles> {
        atomic::create_private_dir_all(&self.directory)?;
        let at = |end| self.directory.join(format!("{}.{end}", self.key));
        Ok(PartFiles {
            bytes: at("part"),
            record: at("toml"),
            lock: at("lock"),
        })
    }

    /// An empty directory for the image. Only who holds the download's lock asks for it: what is there was left by a
    /// killed process.
    pub(crate) fn draft(&self) -> io::Result<Draft> {
        let directory = self.directory.join(format!("{}.new", self.key));
        remove_all(&directory)?;
        atomic::create_private_dir_all(&directory)?;
        Ok(Draft { directory })
    }
}

/// An image that is being made; dropped, it is removed.
#[derive(Debug)]
pub(crate) struct Draft {
    directory: PathBuf,
}

impl Draft {
    /// Where its file is made, before it is known what that is.
    pub(crate) fn disk(&self) -> PathBuf {
        self.directory.join("disk")
    }

    /// Gives the finished file its name and makes it read-only.
    pub(crate) fn finish(&self, stored: Stored) -> io::Result<()> {
        let disk = self.directory.join(stored.file_name());
        fs::rename(self.disk(), &disk)?;
        platform::make_read_only(&disk)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Err(error) = remove_all(&self.directory) {
            tracing::warn!(%error, "an image that was not finished stays until its next download");
        }
    }
}

fn remove_all(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
