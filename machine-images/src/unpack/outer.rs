//! A file without what compresses it or wraps it as a zip archive.

use std::io::Read;

use super::input::Input;
use super::pieces::Pieces;
use super::zip::Zip;
use super::{Packing, UnpackError};

/// The least that is read at once: the headers of archives have to fit.
const LEAST_BUFFER: usize = 64 << 10;

/// What a file says that it unpacks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Declared {
    /// So many bytes, or the file is wrong.
    Exactly(u64),
    /// So many bytes or more.
    AtLeast(u64),
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
    /// Chooses what unpacks `source` by its first bytes, and says what that is.
    pub(super) fn open(
        source: R,
        buffer: usize,
        threads: u32,
    ) -> Result<(Self, Option<Packing>), UnpackError> {
        let mut input = Input::new(source, buffer.max(LEAST_BUFFER));
        let packing = Packing::of(input.at_least(Packing::MAGIC_BYTES)?);
        let kind = match packing {
            None | Some(Packing::Tar) => Kind::Plain,
            Some(Packing::Zip) => Kind::Zip(Zip::default()),
            Some(packing) => Kind::Pieces(Pieces::new(packing, threads)),
        };
        let head = Vec::new();
        Ok((Self { input, kind, head }, packing))
    }

    /// The packed file, read as far as it was unpacked or further.
    pub(super) fn into_source(self) -> R {
        self.input.into_source()
    }

    /// What it says that it unpacks to. Only known when some of it is unpacked.
    pub(super) fn declared(&self) -> Option<Declared> {
        match &self.kind {
            Kind::Zip(zip) => zip.declared().map(Declared::Exactly),
            Kind::Pieces(pieces) => pieces.declared().map(Declared::AtLeast),
            Kind::Plain => None,
        }
    }

    /// Unpacks the first bytes, which [`fill`](Self::fill) gives once more.
    pub(super) fn peek(&mut self) -> Result<&[u8], UnpackError> {
        let mut head = vec![0; Packing::MAGIC_BYTES];
        let filled = self.fill(&mut head)?;
        head.truncate(filled);
        self.head = head;
        Ok(&self.head)
    }

    /// How many bytes of the packed file are unpacked.
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
