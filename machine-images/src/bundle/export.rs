//! An image of the cache becomes a bundle.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use fs_err::File;
use tempfile::NamedTempFile;

use super::metadata::Metadata;
use super::{BundleError, DISK, METADATA, follow};
use crate::aside::Aside;
use crate::cache::CachedImage;
use crate::checksum::{Checksum, Digesting};
use crate::copy::{CHUNK, Next};
use crate::platform;
use crate::progress::{Report, Reporter};

/// Fast, and near what the publisher's own packing takes.
const LEVEL: i32 = 3;

/// A bundle that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exported {
    /// The SHA-256 of the file, as `sha256sum` tells it.
    pub checksum: Checksum,
    /// Its length.
    pub bytes: u64,
}

/// Writes the image to `file`, which appears when it is complete, and which is there already only where `replace` says
/// that this is right. An image that is damaged is refused.
pub async fn export(
    image: &CachedImage,
    file: &Path,
    replace: bool,
    reporter: &dyn Reporter,
) -> Result<Exported, BundleError> {
    let work = Export {
        image: image.clone(),
        file: file.to_owned(),
        replace,
    };
    follow(file, reporter, move |report| work.run(report)).await
}

struct Export {
    image: CachedImage,
    file: PathBuf,
    replace: bool,
}

impl Export {
    fn run(&self, report: Report<'_>) -> Result<Exported, BundleError> {
        if !self.replace && fs_err::symlink_metadata(&self.file).is_ok() {
            return Err(self.exists());
        }
        let directory = match self.file.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let mut part = tempfile::Builder::new()
            .prefix(".machine-image-")
            .tempfile_in(directory)
            .map_err(|source| self.unwritable(source))?;
        self.write(&mut part, report)?;
        let unwritable = |source| self.unwritable(source);
        part.as_file().sync_all().map_err(unwritable)?;
        part.seek(SeekFrom::Start(0)).map_err(unwritable)?;
        let mut whole = Digesting::new(&mut part, true);
        let bytes = io::copy(&mut whole, &mut io::sink()).map_err(unwritable)?;
        let checksum = whole.finish().unwrap_or_else(|| Checksum::of_bytes(&[]));
        // The last moment at which it can be taken back.
        if report(bytes, bytes) == Next::Cancel {
            return Err(BundleError::Cancelled {
                path: self.file.clone(),
            });
        }
        let named = if self.replace {
            part.persist(&self.file)
        } else {
            part.persist_noclobber(&self.file)
        };
        named.map_err(|refused| match refused.error.kind() {
            io::ErrorKind::AlreadyExists => self.exists(),
            _ => self.unwritable(refused.error),
        })?;
        platform::sync_parent(&self.file).map_err(|source| self.unwritable(source))?;
        Ok(Exported { checksum, bytes })
    }

    fn write(&self, part: &mut NamedTempFile, report: Report<'_>) -> Result<(), BundleError> {
        let path = self.image.disk();
        let unreadable = |source| BundleError::Read {
            path: path.clone(),
            source,
        };
        let disk = File::open(&path).map_err(unreadable)?;
        let length = disk.metadata().map_err(unreadable)?.len();
        // What an earlier version has put there is digested first, for the entry that tells it comes first.
        let expected = match self.image.content() {
            Some(content) => content,
            None => digest(&path).map_err(unreadable)?,
        };
        let json = Metadata::of(&self.image, expected, length).to_json();
        let json = json.map_err(|error| self.unwritable(error.into()))?;
        let mut tar = tar::Builder::new(part);
        let mut header = header();
        header.set_size(json.len() as u64);
        tar.append_data(&mut header, METADATA, json.as_slice())
            .map_err(|source| self.unwritable(source))?;
        let found = self.pack(&mut tar, disk, length, report)?;
        if found != expected {
            return Err(BundleError::Damaged {
                path,
                expected,
                found,
            });
        }
        tar.finish().map_err(|source| self.unwritable(source))
    }

    /// Writes the entry with the disk, and gives the checksum of what was packed.
    fn pack(
        &self,
        tar: &mut tar::Builder<&mut NamedTempFile>,
        mut disk: File,
        length: u64,
        report: Report<'_>,
    ) -> Result<Checksum, BundleError> {
        let unwritable = |source| self.unwritable(source);
        let mut header = header();
        let entry = tar.append_writer(&mut header, DISK).map_err(unwritable)?;
        let mut packer = zstd::Encoder::new(entry, LEVEL).map_err(unwritable)?;
        packer.include_checksum(true).map_err(unwritable)?;
        let aside = Aside::new().map_err(unwritable)?;
        let (mut buffer, mut done) = (vec![0; CHUNK], 0);
        loop {
            if report(done, length) == Next::Cancel {
                return Err(BundleError::Cancelled {
                    path: self.file.clone(),
                });
            }
            let count = match disk.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => {
                    return Err(BundleError::Read {
                        path: self.image.disk(),
                        source,
                    });
                }
            };
            aside.update(&buffer[..count]);
            packer.write_all(&buffer[..count]).map_err(unwritable)?;
            done += count as u64;
        }
        let entry = packer.finish().map_err(unwritable)?;
        entry.finish().map_err(unwritable)?;
        aside.finish().map_err(unwritable)
    }

    fn exists(&self) -> BundleError {
        BundleError::Exists {
            path: self.file.clone(),
        }
    }

    fn unwritable(&self, source: io::Error) -> BundleError {
        BundleError::Write {
            path: self.file.clone(),
            source,
        }
    }
}

fn digest(path: &Path) -> io::Result<Checksum> {
    let mut file = Digesting::new(File::open(path)?, true);
    io::copy(&mut file, &mut io::sink())?;
    Ok(file.finish().unwrap_or_else(|| Checksum::of_bytes(&[])))
}

/// The same bytes whoever exports an image, and when.
fn header() -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o644);
    header
}
