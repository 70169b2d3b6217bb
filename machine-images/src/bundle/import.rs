//! A bundle becomes an image of the cache.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use fs_err::File;
use jiff::Timestamp;
use machine_host::lock::FileLock;
use tar::{Archive, Entry, EntryType};

use super::metadata::{MAX_METADATA_BYTES, Metadata};
use super::{BundleError, DISK, METADATA, follow};
use crate::UNPACKED_LIMIT;
use crate::base::{self, Base, Checks};
use crate::cache::{Cache, CachedImage, Record, Source, Verified};
use crate::checksum::{Checksum, Digesting};
use crate::error::ImageError;
use crate::progress::{Report, Reporter};
use crate::unpack::Packing;
use crate::validator::Validator;

/// An image that came in a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The image.
    pub image: CachedImage,
    /// How its file was checked where it was downloaded, as the bundle says.
    pub said: Verified,
    /// Who had signed that file, as the bundle says.
    pub signer: Option<String>,
}

/// Puts the image of the bundle `file` into the cache. `checksum` is what the whole file has to have.
///
/// Nothing of an incomplete or wrong bundle is left. Places of the bundle are said to be seen now: what is asked for by
/// them is this image, where nobody can be asked.
pub async fn import(
    cache: &Cache,
    file: &Path,
    checksum: Option<Checksum>,
    reporter: &dyn Reporter,
) -> Result<Imported, BundleError> {
    let work = Import {
        cache: cache.clone(),
        file: file.to_owned(),
        checksum,
    };
    follow(file, reporter, move |report| work.run(report)).await
}

struct Import {
    cache: Cache,
    file: PathBuf,
    checksum: Option<Checksum>,
}

impl Import {
    fn run(&self, report: Report<'_>) -> Result<Imported, BundleError> {
        let file = File::open(&self.file).map_err(|source| BundleError::Read {
            path: self.file.clone(),
            source,
        })?;
        let mut archive = Archive::new(Digesting::new(file, self.checksum.is_some()));
        // Raw: the library would read an extension into memory, however long it says it is.
        let mut entries = archive
            .entries()
            .map_err(|error| self.broken(error))?
            .raw(true);
        let metadata = self.metadata(entries.next())?;
        self.refuse_conflict(&metadata)?;

        let place = self.cache.download(Some(&metadata.checksum), "");
        let files = place.files().map_err(|source| self.cache_error(source))?;
        let Some(_lock) = FileLock::try_acquire(&files.lock)? else {
            return Err(BundleError::Busy);
        };
        let draft = place.draft().map_err(|source| self.cache_error(source))?;
        let disk = self.entry(entries.next(), DISK)?;
        let base = self.disk(disk, &draft.disk(), &metadata, report)?;
        draft
            .finish(base.stored)
            .map_err(|source| self.cache_error(source))?;
        if let Some(more) = entries.next() {
            let more = more.map_err(|error| self.broken(error))?;
            return Err(self.no_bundle(format!("`{}` is one entry too many", name(&more))));
        }
        self.check(archive.into_inner())?;
        let record = self.record(&base, &metadata);
        let image = self.cache.commit(&draft, record);
        Ok(Imported {
            image: image.map_err(|source| self.cache_error(source))?,
            said: metadata.verified,
            signer: metadata.signer,
        })
    }

    fn metadata<R: Read>(
        &self,
        entry: Option<io::Result<Entry<'_, R>>>,
    ) -> Result<Metadata, BundleError> {
        let mut entry = self.entry(entry, METADATA)?;
        if entry.size() > MAX_METADATA_BYTES {
            return Err(self.no_bundle(format!("its `{METADATA}` is too long")));
        }
        let mut json = Vec::new();
        entry
            .read_to_end(&mut json)
            .map_err(|error| self.broken(error))?;
        let metadata = Metadata::parse(&self.file, &json)?;
        if metadata.content_bytes > UNPACKED_LIMIT {
            return Err(ImageError::TooMuch {
                path: self.file.clone(),
                limit: UNPACKED_LIMIT,
            }
            .into());
        }
        Ok(metadata)
    }

    /// The entry, which has to be this file. Nothing is ever made under a name of the bundle's.
    fn entry<'a, R: Read>(
        &self,
        entry: Option<io::Result<Entry<'a, R>>>,
        expected: &str,
    ) -> Result<Entry<'a, R>, BundleError> {
        let Some(entry) = entry else {
            return Err(self.no_bundle(format!("it has no `{expected}`")));
        };
        let entry = entry.map_err(|error| self.broken(error))?;
        let found = name(&entry);
        if found != expected {
            return Err(self.no_bundle(format!("`{found}` stands where `{expected}` has to")));
        }
        if entry.header().entry_type() != EntryType::Regular {
            return Err(self.no_bundle(format!("its `{expected}` is no plain file")));
        }
        Ok(entry)
    }

    /// A checked image of the cache with another disk is not replaced by hearsay.
    fn refuse_conflict(&self, metadata: &Metadata) -> Result<(), BundleError> {
        let there = self.cache.find(&metadata.checksum);
        let there = there.filter(|image| image.verified() != Verified::Bundle);
        match there.and_then(|image| image.content()) {
            Some(content) if content != metadata.content => Err(BundleError::Conflict {
                path: self.file.clone(),
                checksum: metadata.checksum,
            }),
            _ => Ok(()),
        }
    }

    fn disk(
        &self,
        entry: impl Read,
        disk: &Path,
        metadata: &Metadata,
        report: Report<'_>,
    ) -> Result<Base, BundleError> {
        let expected = metadata.content_bytes;
        let checks = Checks {
            at_most: Some(expected),
            form: metadata.form(),
            ..Checks::default()
        };
        let made = base::make(&self.file, entry, disk, checks, |done| {
            report(done, expected)
        });
        let base = made.map_err(|error| match error {
            ImageError::TooMuch { .. } => self.other(format!("it has more than {expected} bytes")),
            ImageError::Cancelled { .. } => BundleError::Cancelled {
                path: self.file.clone(),
            },
            error => error.into(),
        })?;
        if base.packing != Some(Packing::Zstd) {
            return Err(self.no_bundle(format!("its `{DISK}` is not packed by zstd")));
        }
        if base.content != metadata.content {
            return Err(self.other(format!(
                "expected {}, found {}",
                metadata.content, base.content
            )));
        }
        Ok(base)
    }

    /// Reads the rest of the file, and compares it with what was asked for.
    fn check(&self, mut file: Digesting<File>) -> Result<(), BundleError> {
        let Some(expected) = self.checksum else {
            return Ok(());
        };
        io::copy(&mut file, &mut io::sink()).map_err(|error| self.broken(error))?;
        match file.finish() {
            Some(found) if found != expected => Err(BundleError::Mismatch {
                path: self.file.clone(),
                expected,
                found,
            }),
            _ => Ok(()),
        }
    }

    fn record(&self, base: &Base, metadata: &Metadata) -> Record {
        let seen = Timestamp::now();
        let sources = metadata.places.iter().map(|url| Source {
            url: url.clone(),
            seen,
            // A server is asked anew: its own tag is not hearsay.
            validator: Validator::default(),
        });
        let verified = match (self.checksum, metadata.verified) {
            (Some(_), _) => Verified::Checksum,
            (None, Verified::No) => Verified::No,
            (None, _) => Verified::Bundle,
        };
        Record {
            checksum: metadata.checksum,
            bytes: metadata.bytes,
            packing: metadata.packing.clone(),
            title: metadata.title.clone(),
            release: metadata.release.clone(),
            ..Record::new(base, verified, sources.collect())
        }
    }

    fn broken(&self, source: io::Error) -> BundleError {
        BundleError::Tar {
            path: self.file.clone(),
            source,
        }
    }

    fn no_bundle(&self, what: String) -> BundleError {
        BundleError::NotABundle {
            path: self.file.clone(),
            what,
        }
    }

    fn other(&self, what: String) -> BundleError {
        BundleError::Content {
            path: self.file.clone(),
            what,
        }
    }

    fn cache_error(&self, source: io::Error) -> BundleError {
        BundleError::Cache {
            path: self.cache.directory().to_owned(),
            source,
        }
    }
}

/// The name of an entry, harmless on a terminal.
fn name<R: Read>(entry: &Entry<'_, R>) -> String {
    entry.path_bytes().escape_ascii().to_string()
}
