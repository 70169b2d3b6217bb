//! A download that is not complete: its bytes and what is known of them, so that a later command goes on with it.

use std::io::{self, SeekFrom};
use std::path::Path;

use machine_host::atomic::{self, Access};
use serde::{Deserialize, Serialize};
use tokio::fs::File;
use tokio::io::{AsyncSeekExt, AsyncWriteExt};

use super::answer::Known;
use crate::cache::PartFiles;
use crate::platform;
use crate::validator::Validator;

/// After so many bytes they are made to reach the disk, which is what a power cut can cost.
const SAFE_STEP: u64 = 64 << 20;

/// What is written down beside the bytes, before the first of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
    /// So many bytes have reached the disk.
    #[serde(default)]
    safe: u64,
    #[serde(flatten)]
    validator: Validator,
}

/// The bytes that are there, open for more.
#[derive(Debug)]
pub(super) struct Part {
    files: PartFiles,
    file: File,
    record: Record,
    have: u64,
}

impl Part {
    /// Opens what an earlier command has left, or begins anew. `checked` says that the whole will be compared with a
    /// checksum: then bytes that may not have reached the disk before a power cut are used as well.
    pub(super) async fn open(files: PartFiles, checked: bool) -> io::Result<Self> {
        let record = match tokio::fs::read_to_string(&files.record).await {
            Ok(text) => toml::from_str(&text).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Record::default(),
            Err(error) => return Err(error),
        };
        let file = open_private(&files.bytes).await?;
        let length = file.metadata().await?.len();
        // Without a validator nobody can say that the rest would be of the same file.
        let usable = match (checked, record.validator.if_range()) {
            (true, _) => length,
            (false, Some(_)) => length.min(record.safe),
            (false, None) => 0,
        };
        let have = match record.total {
            Some(total) if usable > total => 0,
            _ => usable,
        };
        let mut part = Self {
            files,
            file,
            record,
            have,
        };
        part.cut().await?;
        Ok(part)
    }

    /// What is there.
    pub(super) fn known(&self) -> Known {
        Known {
            have: self.have,
            total: self.record.total,
            validator: self.record.validator.clone(),
        }
    }

    pub(super) fn have(&self) -> u64 {
        self.have
    }

    /// The rest is asked for elsewhere, where the same file has another tag. A checksum or a signature will tell that it is
    /// the same.
    pub(super) fn forget_validator(&mut self) {
        self.record.validator = Validator::default();
    }

    /// Begins the whole file, of which nothing is there.
    pub(super) async fn begin(
        &mut self,
        total: Option<u64>,
        validator: Validator,
    ) -> io::Result<()> {
        self.have = 0;
        self.cut().await?;
        self.record = Record {
            total,
            safe: 0,
            validator,
        };
        self.write_record().await
    }

    /// Adds bytes. They can be read from the file when this returns.
    pub(super) async fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes).await?;
        // `write_all` has handed them to a thread; `flush` waits for it.
        self.file.flush().await?;
        self.have += bytes.len() as u64;
        if self.have - self.record.safe >= SAFE_STEP {
            self.file.sync_data().await?;
            self.record.safe = self.have;
            self.write_record().await?;
        }
        Ok(())
    }

    /// Removes both files; their lock stays.
    pub(super) async fn discard(self) -> io::Result<()> {
        remove(&self.files).await
    }

    async fn cut(&mut self) -> io::Result<()> {
        self.record.safe = self.record.safe.min(self.have);
        self.file.set_len(self.have).await?;
        self.file.seek(SeekFrom::Start(self.have)).await?;
        Ok(())
    }

    async fn write_record(&self) -> io::Result<()> {
        let text = toml::to_string(&self.record).map_err(io::Error::other)?;
        let path = self.files.record.clone();
        tokio::task::spawn_blocking(move || atomic::write(&path, text.as_bytes(), Access::Private))
            .await
            .map_err(io::Error::other)?
    }
}

/// Removes the bytes and what is known of them, the latter first: bytes without it are nothing.
pub(super) async fn remove(files: &PartFiles) -> io::Result<()> {
    for path in [&files.record, &files.bytes] {
        match tokio::fs::remove_file(path).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

async fn open_private(path: &Path) -> io::Result<File> {
    let path = path.to_owned();
    let opened = tokio::task::spawn_blocking(move || platform::open_private(&path));
    let file = opened.await.map_err(io::Error::other)??;
    Ok(File::from_std(file.into_parts().0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(directory: &tempfile::TempDir) -> PartFiles {
        let at = |name| directory.path().join(name);
        PartFiles {
            bytes: at("x.part"),
            record: at("x.toml"),
            lock: at("x.lock"),
        }
    }

    fn tag() -> Validator {
        Validator {
            etag: Some("\"a\"".to_owned()),
            last_modified: None,
        }
    }

    async fn left_with(validator: Validator) -> (tempfile::TempDir, PartFiles) {
        let directory = tempfile::tempdir().unwrap();
        let files = files(&directory);
        let mut part = Part::open(files.clone(), false).await.unwrap();
        assert_eq!(part.known(), Known::default());
        part.begin(Some(9), validator).await.unwrap();
        part.append(b"abc").await.unwrap();
        part.append(b"def").await.unwrap();
        (directory, files)
    }

    #[tokio::test]
    async fn what_is_there_is_found_again() {
        let (_directory, files) = left_with(tag()).await;
        let mut part = Part::open(files.clone(), true).await.unwrap();
        let known = part.known();
        assert_eq!((known.have, known.total), (6, Some(9)));
        assert_eq!(known.validator, tag());
        part.append(b"ghi").await.unwrap();
        assert_eq!(fs_err::read(&files.bytes).unwrap(), b"abcdefghi");
        part.discard().await.unwrap();
        assert!(!files.bytes.exists() && !files.record.exists());
    }

    /// Bytes that may be lost in a power cut count only where a checksum will tell.
    #[tokio::test]
    async fn bytes_that_have_not_reached_the_disk_are_not_believed() {
        let (_directory, files) = left_with(tag()).await;
        let part = Part::open(files.clone(), false).await.unwrap();
        assert_eq!(part.have(), 0);
        assert_eq!(fs_err::read(&files.bytes).unwrap(), b"");
    }

    #[tokio::test]
    async fn bytes_of_an_unknown_file_are_not_believed() {
        let (_directory, files) = left_with(Validator::default()).await;
        fs_err::write(&files.record, "safe = 6\n").unwrap();
        assert_eq!(Part::open(files, false).await.unwrap().have(), 0);
    }

    #[tokio::test]
    async fn a_record_that_cannot_be_true_begins_anew() {
        for text in ["", "safe = -1", "total = 5\nsafe = 6\netag = '\"a\"'"] {
            let (_directory, files) = left_with(tag()).await;
            fs_err::write(&files.record, text).unwrap();
            assert_eq!(Part::open(files, false).await.unwrap().have(), 0, "{text}");
        }
    }

    #[tokio::test]
    async fn what_has_reached_the_disk_is_believed() {
        let directory = tempfile::tempdir().unwrap();
        let files = files(&directory);
        let mut part = Part::open(files.clone(), false).await.unwrap();
        part.begin(None, tag()).await.unwrap();
        let step = usize::try_from(SAFE_STEP).unwrap();
        part.append(&vec![7; step]).await.unwrap();
        part.append(b"more").await.unwrap();
        drop(part);
        let part = Part::open(files, false).await.unwrap();
        assert_eq!(part.have(), SAFE_STEP);
    }
}
