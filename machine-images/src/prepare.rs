//! An image becomes a disk: cloned or copied under a temporary name, grown, renamed.

use std::io;
use std::path::{Path, PathBuf};

use fs_err::{File, OpenOptions};
use tempfile::TempPath;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::copy::{CopyError, Next, copy};
use crate::disk::{self, whole_sectors};
use crate::error::ImageError;
use crate::platform;
use crate::progress::Reporter;
use crate::recognise::{DiskFormat, ImageKind, open};

/// A disk that is complete and safe on the host's disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreparedDisk {
    /// How it is stored.
    pub format: DiskFormat,
    /// Its size as the guest sees it.
    pub virtual_bytes: u64,
}

/// Makes the disk `destination` from the image `source`, at least `bytes` large; an empty image
/// makes a blank qcow2 disk. The format stays the image's.
///
/// The work is done at `destination` with `.part` added, on a thread for blocking work, and
/// renamed when it is on the host's disk. An existing `destination` is never overwritten. On an
/// error, when the reporter cancels, and when the future is dropped, the partial disk is removed.
/// The caller sees to it that nobody else makes the same disk at the same time: a partial disk
/// that is there already is what a killed process has left, and is replaced.
pub async fn prepare(
    source: &Path,
    destination: &Path,
    bytes: u64,
    reporter: &dyn Reporter,
) -> Result<PreparedDisk, ImageError> {
    let bytes = whole_sectors(bytes).ok_or(ImageError::TooLarge { bytes })?;
    // Room for one report: the copy waits for the reporter, so a cancellation is seen in time,
    // and a dropped future closes the channel, which is a cancellation as well.
    let (progress, mut reports) = mpsc::channel(1);
    let work = Preparation {
        source: source.to_owned(),
        destination: destination.to_owned(),
        bytes,
        progress,
        runtime: Handle::current(),
    };
    let thread = tokio::task::spawn_blocking(move || work.run());
    while let Some((done, total)) = reports.recv().await {
        reporter.copying(done, total);
        if reporter.cancelled() {
            break;
        }
    }
    drop(reports);
    thread.await.map_err(|source| ImageError::Lost {
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
struct Preparation {
    source: PathBuf,
    destination: PathBuf,
    bytes: u64,
    progress: mpsc::Sender<(u64, u64)>,
    runtime: Handle,
}

impl Preparation {
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
        let (image, kind) = open(&self.source)?;
        if fs_err::symlink_metadata(&self.destination).is_ok() {
            return Err(ImageError::Exists {
                path: self.destination.clone(),
            });
        }
        let needed = match &image {
            Some(image) => image
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
        let (mut file, format) =
            if let (Some(image), ImageKind::Disk { format, .. }) = (image, kind) {
                (self.duplicate(image, &part, needed)?, format)
            } else {
                let file = platform::create_private(&part).map_err(failed)?;
                disk::create_blank(&file, &self.runtime).map_err(failed)?;
                (file, DiskFormat::Qcow2)
            };
        let grown = disk::grow(&mut file, format, self.bytes, &self.runtime);
        let virtual_bytes = grown.map_err(|source| {
            if is_full(&source) {
                return failed(source);
            }
            ImageError::Grow {
                path: self.destination.clone(),
                bytes: self.bytes,
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
    fn duplicate(&self, mut image: File, part: &Path, needed: u64) -> Result<File, ImageError> {
        let failed = |source| self.write_error(needed, source);
        let unreadable = |source| ImageError::Unreadable {
            path: self.source.clone(),
            source,
        };
        let cancelled = || ImageError::Cancelled {
            path: self.destination.clone(),
        };
        let length = image.metadata().map_err(unreadable)?.len();
        let report = |done| match self.progress.blocking_send((done, length)) {
            Ok(()) => Next::Continue,
            Err(_) => Next::Cancel,
        };
        if report(0) == Next::Cancel {
            return Err(cancelled());
        }
        if let Some(clone) = platform::clone(&image, &self.source, part).map_err(failed)? {
            return match report(length) {
                Next::Continue => Ok(clone),
                Next::Cancel => Err(cancelled()),
            };
        }
        let mut target = platform::create_private(part).map_err(failed)?;
        let data = |image: &mut File, from| platform::next_data(image, from, length);
        copy(&mut image, &mut target, length, data, report).map_err(|error| match error {
            CopyError::Read(source) => unreadable(source),
            CopyError::Write(source) => failed(source),
            CopyError::Cancelled => cancelled(),
        })?;
        target.set_len(length).map_err(failed)?;
        Ok(target)
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

fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}

fn part_of(destination: &Path) -> PathBuf {
    let mut name = destination.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

#[cfg(test)]
#[path = "prepare_tests.rs"]
mod tests;
