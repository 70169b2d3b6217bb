//! An image becomes a disk: cloned or copied under a temporary name, grown, renamed.

use std::io;
use std::path::{Path, PathBuf};

use fs_err::{File, OpenOptions};
use tempfile::TempPath;
use tokio::runtime::Handle;

use crate::checksum::{Checksum, Digesting};
use crate::copy::{CHUNK, CopyError, FillError, Next, copy, pour};
use crate::disk::{self, whole_sectors};
use crate::error::ImageError;
use crate::progress::{Report, Reporter, follow};
use crate::recognise::{DiskFormat, ImageKind, open, unpack_error, unreadable, written};
use crate::unpack::{Content, Packing};
use crate::{UNPACKED_LIMIT, platform};

/// A disk that is complete and safe on the host's disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreparedDisk {
    /// How it is stored.
    pub format: DiskFormat,
    /// Its size as the guest sees it.
    pub virtual_bytes: u64,
}

/// What the image and the disk made from it have to be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The least size of the disk.
    pub bytes: u64,
    /// What a raw disk that is packed may unpack to; other content is held to [`UNPACKED_LIMIT`].
    pub at_most: u64,
    /// The checksum of the image, as it lies there: of the packed file where it is packed.
    pub checksum: Option<Checksum>,
}

/// [`prepare_on`] terms that ask for a size only.
pub async fn prepare(
    source: &Path,
    destination: &Path,
    bytes: u64,
    reporter: &dyn Reporter,
) -> Result<PreparedDisk, ImageError> {
    let terms = Terms {
        bytes,
        at_most: UNPACKED_LIMIT,
        checksum: None,
    };
    prepare_on(&terms, source, destination, reporter).await
}

/// Makes the disk `destination` from the image `source`, which may be packed; an empty image makes a blank qcow2 disk. The
/// format stays the image's.
///
/// The work is done at `destination` with `.part` added, on a thread for blocking work, and
/// renamed when it is on the host's disk. An existing `destination` is never overwritten. On an
/// error, when the reporter cancels, and when the future is dropped, the partial disk is removed.
/// The caller sees to it that nobody else makes the same disk at the same time: a partial disk
/// that is there already is what a killed process has left, and is replaced.
pub async fn prepare_on(
    terms: &Terms,
    source: &Path,
    destination: &Path,
    reporter: &dyn Reporter,
) -> Result<PreparedDisk, ImageError> {
    let bytes = terms.bytes;
    let bytes = whole_sectors(bytes).ok_or(ImageError::TooLarge { bytes })?;
    let (source, owned) = (source.to_owned(), destination.to_owned());
    let (terms, runtime) = (Terms { bytes, ..*terms }, Handle::current());
    let made = follow(reporter, move |report| {
        let work = Preparation {
            source,
            destination: owned,
            terms,
            report,
            runtime,
        };
        work.run()
    });
    made.await.map_err(|source| ImageError::Lost {
        path: destination.to_owned(),
        source,
    })?
}

/// Grows the disk at `path` to at least `bytes`; a disk that is larger stays as it is.
pub async fn grow(path: &Path, format: DiskFormat, bytes: u64) -> Result<PreparedDisk, ImageError> {
    let bytes = whole_sectors(bytes).ok_or(ImageError::TooLarge { bytes })?;
    let (owned, runtime) = (path.to_owned(), Handle::current());
    let thread = tokio::task::spawn_blocking(move || {
        let failed = |source| ImageError::Grow {
            path: owned.clone(),
            bytes,
            source,
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&owned)
            .map_err(failed)?;
        disk::grow(&mut file, format, bytes, &runtime)
            .map(|virtual_bytes| PreparedDisk {
                format,
                virtual_bytes,
            })
            .map_err(failed)
    });
    thread.await.map_err(|source| ImageError::Lost {
        path: path.to_owned(),
        source,
    })?
}

/// All that the thread of a preparation needs.
struct Preparation<'a> {
    source: PathBuf,
    destination: PathBuf,
    terms: Terms,
    report: Report<'a>,
    runtime: Handle,
}

impl Preparation<'_> {
    fn run(self) -> Result<PreparedDisk, ImageError> {
        self.make().map_err(|error| match error {
            // Counted when the partial disk is gone, or it would count as well.
            ImageError::Full {
                path,
                needed,
                source,
                ..
            } => {
                let free = path.parent().and_then(platform::free_bytes);
                ImageError::Full {
                    path,
                    needed,
                    free,
                    source,
                }
            }
            error => error,
        })
    }

    fn make(&self) -> Result<PreparedDisk, ImageError> {
        let (file, image) = open(&self.source)?;
        if fs_err::symlink_metadata(&self.destination).is_ok() {
            return Err(ImageError::Exists {
                path: self.destination.clone(),
            });
        }
        let needed = match &file {
            Some(file) => file
                .metadata()
                .map_or(0, |facts| platform::occupied_bytes(&facts)),
            None => 0,
        };
        let failed = |source| self.write_error(needed, source);
        let part = part_of(&self.destination);
        match fs_err::remove_file(&part) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        // Made before the file is: whatever happens from here on removes it.
        let part = TempPath::try_from_path(part).map_err(failed)?;
        let (mut file, format) = match (file, image.format) {
            (Some(file), Some(format)) => match image.packing {
                Some(packing) => (self.unpack(file, packing, format, &part)?, format),
                None => (self.duplicate(file, &part, needed)?, format),
            },
            (source, _) => {
                if let Some(mut source) = source {
                    self.check(Digesting::new(&mut source, self.is_checked()))?;
                } else {
                    self.check(Digesting::new(io::empty(), self.is_checked()))?;
                }
                let file = platform::create_private(&part).map_err(failed)?;
                disk::create_blank(&file, &self.runtime).map_err(failed)?;
                (file, DiskFormat::Qcow2)
            }
        };
        let grown = disk::grow(&mut file, format, self.terms.bytes, &self.runtime);
        let virtual_bytes = grown.map_err(|source| {
            if is_full(&source) {
                return failed(source);
            }
            ImageError::Grow {
                path: self.destination.clone(),
                bytes: self.terms.bytes,
                source,
            }
        })?;
        drop(file);
        part.persist_noclobber(&self.destination)
            .map_err(|refused| {
                if refused.error.kind() == io::ErrorKind::AlreadyExists {
                    return ImageError::Exists {
                        path: self.destination.clone(),
                    };
                }
                failed(refused.error)
            })?;
        platform::sync_parent(&self.destination).map_err(failed)?;
        Ok(PreparedDisk {
            format,
            virtual_bytes,
        })
    }

    /// The whole image at `part`, as a clone if possible.
    fn duplicate(&self, image: File, part: &Path, needed: u64) -> Result<File, ImageError> {
        let failed = |source| self.write_error(needed, source);
        let unreadable = |source| unreadable(&self.source, source);
        let length = image.metadata().map_err(unreadable)?.len();
        let report = |done| (self.report)(done, length);
        if report(0) == Next::Cancel {
            return Err(self.cancelled());
        }
        if let Some(clone) = platform::clone(&image, &self.source, part).map_err(failed)? {
            return self.check_clone(clone, length);
        }
        let mut target = platform::create_private(part).map_err(failed)?;
        let mut image = Digesting::new(image, self.is_checked());
        let checked = self.is_checked();
        let data = |image: &mut Digesting<File>, from| {
            // A hole is a part of what is digested.
            if checked {
                return Ok((from < length).then_some((from, length)));
            }
            platform::next_data(image.get_ref(), from, length)
        };
        copy(&mut image, &mut target, length, data, report).map_err(|error| match error {
            CopyError::Read(source) if source.kind() == io::ErrorKind::UnexpectedEof => {
                ImageError::Changed {
                    path: self.source.clone(),
                }
            }
            CopyError::Read(source) => unreadable(source),
            CopyError::Write(source) => failed(source),
            CopyError::Cancelled => self.cancelled(),
        })?;
        self.check(image)?;
        target.set_len(length).map_err(failed)?;
        Ok(target)
    }

    /// A clone is digested itself: it cannot be changed any more.
    fn check_clone(&self, mut clone: File, length: u64) -> Result<File, ImageError> {
        if self.is_checked() {
            let mut digested = Digesting::new(&mut clone, true);
            let mut sink = Nowhere;
            let all = |_: &mut _, from| Ok((from < length).then_some((from, length)));
            let report = |done| (self.report)(done, length);
            copy(&mut digested, &mut sink, length, all, report).map_err(|error| match error {
                CopyError::Read(source) | CopyError::Write(source) => self.write_error(0, source),
                CopyError::Cancelled => self.cancelled(),
            })?;
            self.check(digested)?;
        }
        match (self.report)(length, length) {
            Next::Continue => Ok(clone),
            Next::Cancel => Err(self.cancelled()),
        }
    }

    /// What the packed image holds at `part`. The bytes of the image are read once.
    fn unpack(
        &self,
        image: File,
        packing: Packing,
        format: DiskFormat,
        part: &Path,
    ) -> Result<File, ImageError> {
        let unreadable = |source| unreadable(&self.source, source);
        let length = image.metadata().map_err(unreadable)?.len();
        if (self.report)(0, length) == Next::Cancel {
            return Err(self.cancelled());
        }
        let mut target =
            platform::create_private(part).map_err(|source| self.write_error(0, source))?;
        let limit = match format {
            DiskFormat::Raw => self.terms.at_most,
            DiskFormat::Qcow2 => UNPACKED_LIMIT,
        };
        let image = Digesting::new(image, self.is_checked());
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let threads = u32::try_from(threads).unwrap_or(u32::MAX);
        let failed = |error| unpack_error(&self.source, packing, error);
        let content = Content::open(image, CHUNK, threads, limit).map_err(failed)?;
        if content.packing() != Some(packing) {
            return Err(ImageError::Changed {
                path: self.source.clone(),
            });
        }
        let content = std::cell::RefCell::new(content);
        let poured = pour(
            &mut target,
            limit,
            |buffer| content.borrow_mut().fill(buffer),
            |_| (self.report)(content.borrow().consumed(), length),
        );
        let content = content.into_inner();
        let bytes = poured.map_err(|error| match error {
            FillError::Fill(error) => failed(error),
            FillError::Write(source) => {
                let written = target
                    .metadata()
                    .map_or(0, |facts| platform::occupied_bytes(&facts));
                self.write_error(written + CHUNK as u64, source)
            }
            FillError::TooMuch => ImageError::TooMuch {
                path: self.source.clone(),
                limit,
            },
            FillError::Cancelled => self.cancelled(),
        })?;
        self.check(content.into_source())?;
        target
            .set_len(bytes)
            .map_err(|source| self.write_error(bytes, source))?;
        // Its end is known only now, and another file may have taken the place of the one looked at.
        match written(&self.source, Some(packing), &mut target, bytes)? {
            ImageKind::Disk { format: found, .. } if found == format => Ok(target),
            _ => Err(ImageError::Changed {
                path: self.source.clone(),
            }),
        }
    }

    fn is_checked(&self) -> bool {
        self.terms.checksum.is_some()
    }

    /// Reads to the end, and compares what was read with what was asked for.
    fn check<R: io::Read>(&self, mut image: Digesting<R>) -> Result<(), ImageError> {
        let Some(expected) = self.terms.checksum else {
            return Ok(());
        };
        io::copy(&mut image, &mut io::sink()).map_err(|source| unreadable(&self.source, source))?;
        match image.finish() {
            Some(found) if found != expected => Err(ImageError::Mismatch {
                path: self.source.clone(),
                expected,
                found,
            }),
            _ => Ok(()),
        }
    }

    fn cancelled(&self) -> ImageError {
        ImageError::Cancelled {
            path: self.destination.clone(),
        }
    }

    fn write_error(&self, needed: u64, source: io::Error) -> ImageError {
        let path = self.destination.clone();
        if is_full(&source) {
            return ImageError::Full {
                path,
                needed,
                free: None,
                source,
            };
        }
        ImageError::Write { path, source }
    }
}

/// Where what is only digested goes.
struct Nowhere;

impl io::Write for Nowhere {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl io::Seek for Nowhere {
    fn seek(&mut self, _to: io::SeekFrom) -> io::Result<u64> {
        Ok(0)
    }
}

fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}

pub(crate) fn part_of(destination: &Path) -> PathBuf {
    let mut name = destination.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

#[cfg(test)]
#[path = "prepare_tests.rs"]
mod tests;
