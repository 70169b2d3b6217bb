//! A reader that follows a file while it is downloaded.

use std::io::{self, Read};

use fs_err::File;
use tokio::runtime::Handle;
use tokio::sync::watch;

/// How far the file is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    /// So many bytes can be read.
    pub(super) length: u64,
    /// No more will come.
    pub(super) complete: bool,
}

/// Reads the file to the end that it will have; it waits, on its own thread, where it is faster than the download.
#[derive(Debug)]
pub(super) struct Growing {
    file: File,
    at: u64,
    extent: watch::Receiver<Extent>,
    runtime: Handle,
}

impl Growing {
    /// `file` stands at its beginning.
    pub(super) fn new(file: File, extent: watch::Receiver<Extent>, runtime: Handle) -> Self {
        Self {
            file,
            at: 0,
            extent,
            runtime,
        }
    }
}

impl Read for Growing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let extent = *self.extent.borrow_and_update();
            let left = extent.length.saturating_sub(self.at);
            if left > 0 && !buffer.is_empty() {
                let wanted =
                    usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
                let count = self.file.read(&mut buffer[..wanted])?;
                if count == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                self.at += count as u64;
                return Ok(count);
            }
            if extent.complete || buffer.is_empty() {
                return Ok(0);
            }
            if self.runtime.block_on(self.extent.changed()).is_err() {
                return Err(io::Error::other("the download was given up"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn follows_to_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs_err::write(&path, "abc").unwrap();
        let (sender, receiver) = watch::channel(Extent {
            length: 2,
            complete: false,
        });
        let file = File::open(&path).unwrap();
        let mut growing = Growing::new(file, receiver, Handle::current());
        let reader = tokio::task::spawn_blocking(move || {
            let mut text = String::new();
            growing.read_to_string(&mut text).map(|_| text)
        });
        fs_err::write(&path, "abcdef").unwrap();
        sender.send_replace(Extent {
            length: 5,
            complete: false,
        });
        sender.send_replace(Extent {
            length: 6,
            complete: true,
        });
        assert_eq!(reader.await.unwrap().unwrap(), "abcdef");
    }

    #[tokio::test]
    async fn a_download_that_is_given_up_is_no_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs_err::write(&path, "abc").unwrap();
        let (sender, receiver) = watch::channel(Extent {
            length: 3,
            complete: false,
        });
        let mut growing = Growing::new(File::open(&path).unwrap(), receiver, Handle::current());
        let reader = tokio::task::spawn_blocking(move || io::copy(&mut growing, &mut io::sink()));
        drop(sender);
        let error = reader.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Other);
    }
}
