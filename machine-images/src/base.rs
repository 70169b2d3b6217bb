//! A stream of bytes becomes a disk or a tree that others are made from: unpacked, recognised and digested in one pass.

use std::io::{self, Read};
use std::path::Path;

use fs_err::File;

use sha2::{Digest, Sha256};

use crate::aside::Aside;
use crate::checksum::Checksum;
use crate::copy::{CHUNK, FillError, Next, pour};
use crate::error::ImageError;
use crate::openpgp::{Signer, Verifier};
use crate::recognise::{self, ImageForm, ImageKind};
use crate::stored::Stored;
use crate::unpack::{Content, Packing, UnpackError};
use crate::{UNPACKED_LIMIT, platform};

/// What was made of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Base {
    /// The SHA-256 of the stream.
    pub(crate) checksum: Checksum,
    /// The SHA-256 of the file that was made, holes as zeroes.
    pub(crate) content: Checksum,
    /// Who signed the stream, where a signature was to be checked.
    pub(crate) signer: Option<Signer>,
    /// The length of the stream.
    pub(crate) bytes: u64,
    /// How it was packed.
    pub(crate) packing: Option<Packing>,
    /// What that file is.
    pub(crate) stored: Stored,
    /// The disk's size as the guest sees it, or the archive's length.
    pub(crate) virtual_bytes: u64,
}

/// What is asked of a stream.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    /// It has this SHA-256.
    pub(crate) checksum: Option<Checksum>,
    /// It is what this signature is of.
    pub(crate) signature: Option<Verifier>,
    /// What it unpacks to has no more bytes; [`UNPACKED_LIMIT`] without it.
    pub(crate) at_most: Option<u64>,
    /// What it has to hold.
    pub(crate) form: ImageForm,
}

/// Makes the file `disk`, which must not exist, of all of `source`, which errors call `name`. `report` is told how
/// much of it is there. What lies at `disk` after an error is nothing.
///
/// A stream that is no image is refused at its first bytes.
pub(crate) fn make(
    name: &Path,
    source: impl Read,
    disk: &Path,
    checks: Checks,
    mut report: impl FnMut(u64) -> Next,
) -> Result<Base, ImageError> {
    let mut stream = Tap {
        source,
        digest: Sha256::new(),
        verifier: checks.signature,
        count: 0,
    };
    let content = Content::open(&mut stream, CHUNK, threads(), UNPACKED_LIMIT);
    let mut content = content.map_err(|error| refusal(name, None, error))?;
    let packing = content.packing();
    if checks.form == ImageForm::Tree {
        let is_tree = content.is_tree();
        if !is_tree.map_err(|error| refusal(name, packing, error))? {
            return Err(ImageError::NotATree {
                path: name.to_owned(),
            });
        }
    }
    let mut target = platform::create_private(disk).map_err(|source| failed(disk, None, source))?;

    // What is not packed is digested as the stream.
    let limit = checks.at_most.unwrap_or(UNPACKED_LIMIT);
    let aside = packing.map(|_| Aside::new()).transpose();
    let aside = aside.map_err(|source| failed(disk, None, source))?;
    let mut first = true;
    let poured = pour(
        &mut target,
        limit,
        |buffer| {
            let filled = match checks.form {
                ImageForm::Disk => content.fill(buffer),
                ImageForm::Tree => content.fill_archive(buffer),
            };
            let filled = filled.map_err(Stop::Unpack)?;
            if std::mem::take(&mut first) && checks.form == ImageForm::Disk {
                let whole = (filled < buffer.len()).then_some(filled as u64);
                recognise::beginning(name, packing, &buffer[..filled], whole)
                    .map_err(Stop::NoImage)?;
            }
            if let Some(aside) = &aside {
                aside.update(&buffer[..filled]);
            }
            Ok(filled)
        },
        &mut report,
    );
    let length = poured.map_err(|error| match error {
        FillError::Fill(Stop::NoImage(error)) => error,
        FillError::Fill(Stop::Unpack(error)) => refusal(name, packing, error),
        FillError::Write(source) => failed(disk, Some(&target), source),
        FillError::TooMuch => ImageError::TooMuch {
            path: name.to_owned(),
            limit,
        },
        FillError::Cancelled => ImageError::Cancelled {
            path: disk.to_owned(),
        },
    })?;
    drop(content);
    let unpacked = aside.map(Aside::finish).transpose();
    let unpacked = unpacked.map_err(|source| failed(disk, Some(&target), source))?;
    // What follows the end of the content is a part of the file that was signed.
    io::copy(&mut stream, &mut io::sink()).map_err(|source| recognise::unreadable(name, source))?;
    let (bytes, found, verifier) = stream.finish();
    if let Some(expected) = checks.checksum
        && found != expected
    {
        return Err(ImageError::Mismatch {
            path: name.to_owned(),
            expected,
            found,
        });
    }
    let signer = verifier.map(Verifier::finish).transpose();
    let signer = signer.map_err(|source| ImageError::Signature {
        path: name.to_owned(),
        source: Box::new(source),
    })?;
    target
        .set_len(length)
        .map_err(|source| failed(disk, Some(&target), source))?;
    let (stored, virtual_bytes) = match checks.form {
        ImageForm::Tree => (Stored::Tree, length),
        ImageForm::Disk => match recognise::written(name, packing, &mut target, length)? {
            ImageKind::Disk {
                format,
                virtual_bytes,
            } => (Stored::Disk(format), virtual_bytes),
            ImageKind::Empty => {
                return Err(ImageError::NotAnImage {
                    path: name.to_owned(),
                });
            }
        },
    };
    target
        .sync_all()
        .map_err(|source| failed(disk, Some(&target), source))?;
    Ok(Base {
        checksum: found,
        content: unpacked.unwrap_or(found),
        signer,
        bytes,
        packing,
        stored,
        virtual_bytes,
    })
}

/// Why no more content came.
enum Stop {
    Unpack(UnpackError),
    NoImage(ImageError),
}

/// As many as the host has processors.
fn threads() -> u32 {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u32::try_from(threads).unwrap_or(u32::MAX)
}

/// Digests and counts what is read.
struct Tap<R> {
    source: R,
    digest: Sha256,
    verifier: Option<Verifier>,
    count: u64,
}

impl<R> Tap<R> {
    fn finish(self) -> (u64, Checksum, Option<Verifier>) {
        (self.count, Checksum::of(self.digest), self.verifier)
    }
}

impl<R: Read> Read for Tap<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.digest.update(&buffer[..count]);
        if let Some(verifier) = &mut self.verifier {
            verifier.update(&buffer[..count]);
        }
        self.count += count as u64;
        Ok(count)
    }
}

fn refusal(name: &Path, packing: Option<Packing>, error: UnpackError) -> ImageError {
    match (packing, error) {
        (Some(packing), error) => recognise::unpack_error(name, packing, error),
        (None, UnpackError::Read(source)) => recognise::unreadable(name, source),
        // Nothing was unpacked that could be wrong.
        (None, UnpackError::Fault(_) | UnpackError::TooMuch(_)) => ImageError::NotAnImage {
            path: name.to_owned(),
        },
    }
}

/// An error of writing the disk; `target` is as far as it came.
fn failed(disk: &Path, target: Option<&File>, source: io::Error) -> ImageError {
    let written = target
        .and_then(|target| target.metadata().ok())
        .map_or(0, |facts| platform::occupied_bytes(&facts));
    let path = disk.to_owned();
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ImageError::Full {
            needed: written + CHUNK as u64,
            free: disk.parent().and_then(platform::free_bytes),
            path,
            source,
        },
        _ => ImageError::Write { path, source },
    }
}

#[cfg(test)]
#[path = "base_tests.rs"]
mod tests;
