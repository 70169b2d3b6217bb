//! The file with a report: a tar, packed by gzip, that is there as a whole or not at all, and never in another's place.

use std::io;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use machine_host::atomic;
use thiserror::Error;

/// Why there is no report.
#[derive(Debug, Error)]
pub enum ReportError {
    /// The file is there already.
    #[error("`{}` exists already", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be written; nothing is left of it.
    #[error("The report `{}` cannot be written", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl ReportError {
    /// What the user can do about it.
    pub fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Exists { .. } => "name another file: `--report=FILE`",
            Self::Write { .. } => "name a file in a directory of yours: `--report=FILE`",
        };
        vec![hint.to_owned()]
    }
}

/// A file of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its path in the archive.
    pub(super) path: String,
    /// What it holds.
    pub(super) text: Vec<u8>,
}

/// Writes the archive, which nobody but the user may read; the number of its bytes. `time` is in seconds of Unix.
pub(super) fn write(path: &Path, entries: &[Entry], time: u64) -> Result<u64, ReportError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => ReportError::Exists {
            path: path.to_owned(),
        },
        _ => ReportError::Write {
            path: path.to_owned(),
            source,
        },
    };
    let bytes = pack(entries, time).map_err(failed)?;
    atomic::write_new(path, &bytes, atomic::Access::Private).map_err(failed)?;
    Ok(bytes.len() as u64)
}

fn pack(entries: &[Entry], time: u64) -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for entry in entries {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(0o600);
        header.set_mtime(time);
        header.set_size(entry.text.len() as u64);
        tar.append_data(&mut header, &entry.path, entry.text.as_slice())?;
    }
    tar.into_inner()?.finish()
}

#[cfg(test)]
pub(super) fn unpack(path: &Path) -> Vec<Entry> {
    use std::io::Read as _;
    let file = fs_err::File::open(path).unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut text = Vec::new();
        entry.read_to_end(&mut text).unwrap();
        Entry {
            path: entry.path().unwrap().display().to_string(),
            text,
        }
    });
    entries.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_nothing_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report.tar.gz");
        let entries = ["a/README.txt", "a/machines/m/console.log"].map(|path| Entry {
            path: path.to_owned(),
            text: path.repeat(1000).into_bytes(),
        });
        let bytes = write(&path, &entries, 1).unwrap();
        assert_eq!(fs_err::metadata(&path).unwrap().len(), bytes);
        assert_eq!(unpack(&path), entries);
        let error = write(&path, &entries[..1], 1).unwrap_err();
        assert!(matches!(error, ReportError::Exists { .. }), "{error:?}");
        assert_eq!(unpack(&path), entries);
        let error = write(&directory.path().join("no").join("x"), &entries, 1).unwrap_err();
        assert!(matches!(error, ReportError::Write { .. }), "{error:?}");
        assert_eq!(fs_err::read_dir(directory.path()).unwrap().count(), 1);
    }
}
