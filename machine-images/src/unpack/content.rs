//! What a file holds that may be packed, and may be the one file of an archive.

use std::io::Read;

use super::outer::{Declared, Outer};
use super::tar::{self, Tar};
use super::{Packing, UnpackError};

/// The content of a file. What unpacks it is chosen by the first bytes.
pub(crate) struct Content<R> {
    packing: Option<Packing>,
    outer: Outer<R>,
    /// The archive that was found in it, or that it is.
    tar: Option<Tar>,
    /// Whether the first bytes were looked at and the declared size was compared.
    begun: bool,
    limit: u64,
}

impl<R: Read> Content<R> {
    /// Reads the first bytes of `source`. `buffer` bytes are read at once; xz has up to `threads` threads. A file that
    /// says that it unpacks to more than `limit` bytes is refused.
    pub(crate) fn open(
        source: R,
        buffer: usize,
        threads: u32,
        limit: u64,
    ) -> Result<Self, UnpackError> {
        let (outer, packing) = Outer::open(source, buffer, threads)?;
        Ok(Self {
            packing,
            outer,
            tar: None,
            begun: false,
            limit,
        })
    }

    /// How the file is packed.
    pub(crate) fn packing(&self) -> Option<Packing> {
        self.packing
    }

    /// How many bytes of the packed file are unpacked.
    pub(crate) fn consumed(&self) -> u64 {
        self.outer.consumed()
    }

    /// The packed file, read as far as it was unpacked or further.
    pub(crate) fn into_source(self) -> R {
        self.outer.into_source()
    }

    /// What it says that it unpacks to. Only known when some of it is unpacked.
    pub(crate) fn declared(&self) -> Option<Declared> {
        match &self.tar {
            Some(tar) => tar.declared().map(Declared::Exactly),
            None => self.outer.declared(),
        }
    }

    /// Fills `output` as far as there is content; less than all of it means that the file has ended.
    pub(crate) fn fill(&mut self, output: &mut [u8]) -> Result<usize, UnpackError> {
        if self.begun {
            return self.next(output);
        }
        self.begun = true;
        let filled = self.begin(output);
        // What is wrong with it as well is no matter then.
        match self.declared() {
            Some(Declared::Exactly(bytes) | Declared::AtLeast(bytes)) if bytes > self.limit => {
                Err(UnpackError::TooMuch(self.limit))
            }
            _ => filled,
        }
    }

    /// Fills `output` with what is compressed in the file, archive or not, as far as there is any. Not to be mixed with
    /// [`fill`](Self::fill).
    pub(crate) fn fill_archive(&mut self, output: &mut [u8]) -> Result<usize, UnpackError> {
        self.outer.fill(output)
    }

    /// Whether [`fill_archive`](Self::fill_archive) gives a tar archive: the file is one, or one that is compressed.
    pub(crate) fn is_tree(&mut self) -> Result<bool, UnpackError> {
        Ok(self.packing != Some(Packing::Zip) && tar::begins(self.outer.peek()?))
    }

    fn begin(&mut self, output: &mut [u8]) -> Result<usize, UnpackError> {
        if tar::begins(self.outer.peek()?) {
            self.tar = Some(Tar::default());
        }
        self.next(output)
    }

    fn next(&mut self, output: &mut [u8]) -> Result<usize, UnpackError> {
        match &mut self.tar {
            Some(tar) => tar.fill(&mut self.outer, output),
            None => self.outer.fill(output),
        }
    }
}
