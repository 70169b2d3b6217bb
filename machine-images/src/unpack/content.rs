//! What a file holds that may be packed, and may be the one file of an archive.

use std::io::Read;

use super::input::Input;
use super::pieces::Pieces;
use super::tar::{self, Tar};
use super::zip::Zip;
use super::{Packing, UnpackError};

/// The least that is read at once: the headers of archives have to fit.
const LEAST_BUFFER: usize = 64 << 10;

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

/// What a file says that it unpacks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Declared {
    /// So many bytes, or the file is wrong.
    Exactly(u64),
    /// So many bytes or more.
    AtLeast(u64),
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
        let mut input = Input::new(source, buffer.max(LEAST_BUFFER));
        let packing = Packing::of(input.at_least(Packing::MAGIC_BYTES)?);
        let kind = match packing {
            None | Some(Packing::Tar) => Kind::Plain,
            Some(Packing::Zip) => Kind::Zip(Zip::default()),
            Some(packing) => Kind::Pieces(Pieces::new(packing, threads)),
        };
        Ok(Self {
            packing,
            outer: Outer {
                input,
                kind,
                head: Vec::new(),
            },
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
        self.outer.input.into_source()
    }

    /// What it says that it unpacks to. Only known when some of it is unpacked.
    pub(crate) fn declared(&self) -> Option<Declared> {
        match (&self.tar, &self.outer.kind) {
            (Some(tar), _) => tar.declared().map(Declared::Exactly),
            (None, Kind::Zip(zip)) => zip.declared().map(Declared::Exactly),
            (None, Kind::Pieces(pieces)) => pieces.declared().map(Declared::AtLeast),
            (None, Kind::Plain) => None,
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

    /// Whether what is compressed in the file, or the file itself, begins as a tar archive does.
    pub(crate) fn is_tar(&mut self) -> Result<bool, UnpackError> {
        self.outer.peek()
    }

    fn begin(&mut self, output: &mut [u8]) -> Result<usize, UnpackError> {
        if self.outer.peek()? {
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

/// The file without what compresses it.
pub(super) struct Outer<R> {
    input: Input<R>,
    kind: Kind,
    /// What was unpacked to look at it.
    head: Vec<u8>,
}

enum Kind {
    Plain,
    Pieces(Pieces),
    Zip(Zip),
}

impl<R: Read> Outer<R> {
    /// Unpacks the first bytes, and says whether they are the beginning of a tar archive.
    fn peek(&mut self) -> Result<bool, UnpackError> {
        let mut head = vec![0; Packing::MAGIC_BYTES];
        let filled = self.fill(&mut head)?;
        head.truncate(filled);
        self.head = head;
        Ok(tar::begins(&self.head))
    }

    pub(super) fn consumed(&self) -> u64 {
        self.input.consumed()
    }

    /// Fills `output` as far as there is content; less than all of it means that the file has ended.
    pub(super) fn fill(&mut self, output: &mut [u8]) -> Result<usize, UnpackError> {
        let looked_at = self.head.len().min(output.len());
        output[..looked_at].copy_from_slice(&self.head[..looked_at]);
        self.head.drain(..looked_at);
        let rest = &mut output[looked_at..];
        let filled = match &mut self.kind {
            Kind::Plain => plain(&mut self.input, rest)?,
            Kind::Pieces(pieces) => pieces.fill(&mut self.input, rest)?,
            Kind::Zip(zip) => zip.fill(&mut self.input, rest)?,
        };
        Ok(looked_at + filled)
    }
}

fn plain<R: Read>(input: &mut Input<R>, output: &mut [u8]) -> Result<usize, UnpackError> {
    let mut filled = 0;
    while filled < output.len() {
        match input.take(&mut output[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}
