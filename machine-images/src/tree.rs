//! An image that is the tree of a system: a tar archive of its files, compressed or not.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use fs_err::File;

use crate::MAX_DISK_BYTES;
use crate::checksum::{Checksum, Digesting};
use crate::error::ImageError;
use crate::recognise::{open_file, unpack_error, unreadable};
use crate::unpack::{Content, Packing, UnpackError};

/// What is read of the file at once.
const BUFFER: usize = 1 << 20;
/// Threads that unpack xz.
const THREADS: u32 = 2;

/// The bytes of the tar archive, unpacked as they are read. What is damaged or cut off is an error that names the image.
pub struct TreeArchive {
    path: PathBuf,
    content: Content<Digesting<File>>,
}

impl std::fmt::Debug for TreeArchive {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = formatter.debug_struct("TreeArchive");
        shown.field("path", &self.path).finish_non_exhaustive()
    }
}

impl TreeArchive {
    /// How it is packed: [`Packing::Tar`] is not.
    pub fn packing(&self) -> Packing {
        self.content.packing().unwrap_or(Packing::Tar)
    }

    /// Reads what is left of the file, and refuses it where it has another checksum.
    pub fn check(self, expected: Checksum) -> Result<(), ImageError> {
        let path = self.path;
        let mut source = self.content.into_source();
        if let Err(source) = io::copy(&mut source, &mut io::sink()) {
            return Err(unreadable(&path, source));
        }
        match source.finish() {
            Some(found) if found != expected => Err(ImageError::Mismatch {
                path,
                expected,
                found,
            }),
            _ => Ok(()),
        }
    }

    fn failed(&self, error: UnpackError) -> ImageError {
        unpack_error(&self.path, self.packing(), error)
    }
}

/// Opens the archive at `path`. What is none is an error that says so.
pub fn open_tree(path: &Path) -> Result<TreeArchive, ImageError> {
    let no_tree = || ImageError::NotATree {
        path: path.to_owned(),
    };
    let (file, _) = open_file(path)?.ok_or_else(no_tree)?;
    let content = Content::open(Digesting::new(file, true), BUFFER, THREADS, MAX_DISK_BYTES);
    let content = content.map_err(|error| unpack_error(path, Packing::Tar, error))?;
    let mut tree = TreeArchive {
        path: path.to_owned(),
        content,
    };
    match tree.content.is_tree() {
        Ok(true) => Ok(tree),
        Ok(false) => Err(no_tree()),
        Err(error) => Err(tree.failed(error)),
    }
}

impl Read for TreeArchive {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.content.fill_archive(buffer).map_err(|error| {
            let error = self.failed(error);
            io::Error::other(error)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn archive() -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, bytes) in [("etc/passwd", &b"root"[..]), ("etc/group", &[7; 3000])] {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            archive.append_data(&mut header, name, bytes).unwrap();
        }
        archive.into_inner().unwrap()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap()
    }

    #[test]
    fn an_archive_is_read_whole_and_anything_else_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let write = |bytes: &[u8]| {
            let path = directory.path().join("image");
            fs_err::write(&path, bytes).unwrap();
            path
        };
        for (packed, packing) in [(archive(), Packing::Tar), (gzip(&archive()), Packing::Gzip)] {
            let mut tree = open_tree(&write(&packed)).unwrap();
            assert_eq!(tree.packing(), packing);
            let mut read = Vec::new();
            tree.read_to_end(&mut read).unwrap();
            assert!(read == archive());
            let (right, wrong) = (Checksum::of_bytes(&packed), Checksum::of_bytes(b""));
            tree.check(right).unwrap();
            let error = open_tree(&write(&packed)).unwrap().check(wrong);
            assert!(matches!(error, Err(ImageError::Mismatch { found, .. }) if found == right));
        }
        let packed = gzip(&archive());
        let mut tree = open_tree(&write(&packed[..packed.len() - 9])).unwrap();
        let error = io::copy(&mut tree, &mut io::sink()).unwrap_err();
        assert!(
            error.to_string().contains("cannot be unpacked by gzip"),
            "{error}"
        );
        for bytes in [&b""[..], &[0; 4096], b"QFI\xfb", &gzip(&[1; 4096])] {
            let error = open_tree(&write(bytes)).unwrap_err();
            assert!(matches!(error, ImageError::NotATree { .. }), "{error}");
        }
    }
}
