//! Whether an image is still what it was: its disk is read again and compared with what was digested while it was made.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use fs_err::File;

use super::CachedImage;
use crate::checksum::{Checksum, Digesting};
use crate::copy::{CHUNK, Next};
use crate::progress::{Report, Reporter, follow};

/// What reading an image again has shown.
#[derive(Debug)]
pub enum Verdict {
    /// It is what it was.
    Good,
    /// It is something else, and so is what lies over it.
    Damaged(Damage),
    /// An earlier version has put it there and not digested its disk.
    Unknown,
}

/// What is wrong with the disk of an image.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// The host cannot read it to its end.
    #[error("its disk `{}` cannot be read", path.display())]
    Unreadable {
        /// The disk.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It has other bytes.
    #[error("its disk `{}` was {expected} and is {found}", path.display())]
    Changed {
        /// The disk.
        path: PathBuf,
        /// What was written.
        expected: Checksum,
        /// What is there.
        found: Checksum,
    },
}

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The reporter said so.
    #[error("Verifying the images was cancelled")]
    Cancelled,
    /// A thread of this program ended without an answer, which is an error of this program.
    #[error("Verifying `{}` ended unexpectedly", path.display())]
    Lost {
        /// The disk.
        path: PathBuf,
        /// How the thread ended.
        source: tokio::task::JoinError,
    },
}

impl CachedImage {
    /// The checksum of its unpacked disk, holes as zeroes; `None` where nobody has digested it.
    pub fn content(&self) -> Option<Checksum> {
        // What came unpacked is what came.
        let plain = self.record.packing.is_none();
        self.record
            .content
            .or(plain.then_some(self.record.checksum))
    }

    /// Reads the disk again, on a thread for blocking work. Nothing is changed, and others may use it meanwhile.
    pub async fn verify(&self, reporter: &dyn Reporter) -> Result<Verdict, VerifyError> {
        let Some(expected) = self.content() else {
            return Ok(Verdict::Unknown);
        };
        let path = self.disk();
        let disk = path.clone();
        let read = follow(reporter, move |report| digest(&disk, report)).await;
        let found = read.map_err(|source| VerifyError::Lost {
            path: path.clone(),
            source,
        })?;
        Ok(match found {
            Ok(None) => return Err(VerifyError::Cancelled),
            Ok(Some(found)) if found == expected => Verdict::Good,
            Ok(Some(found)) => Verdict::Damaged(Damage::Changed {
                path,
                expected,
                found,
            }),
            Err(source) => Verdict::Damaged(Damage::Unreadable { path, source }),
        })
    }
}

/// The checksum of a file; `None`: `report`, which is told what was read of how much, does not want it any more.
fn digest(path: &Path, report: Report<'_>) -> io::Result<Option<Checksum>> {
    let file = File::open(path)?;
    let total = file.metadata()?.len();
    let mut file = Digesting::new(file, true);
    let (mut buffer, mut done) = (vec![0; CHUNK], 0);
    loop {
        if report(done, total) == Next::Cancel {
            return Ok(None);
        }
        match file.read(&mut buffer) {
            Ok(0) => return Ok(file.finish()),
            Ok(count) => done += count as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
