//! Compressed images, unpacked as a stream: what is damaged, cut off or followed by other data is told apart.

mod codec;

use std::io::{self, Read};

pub(crate) use codec::MEMORY_LIMIT;
use codec::{Codec, Step};

/// How an image is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// xz, of one block or of many, which are unpacked side by side.
    Xz,
    /// Zstandard.
    Zstd,
    /// gzip.
    Gzip,
    /// bzip2.
    Bzip2,
}

impl Packing {
    pub(crate) const ALL: [Self; 4] = [Self::Xz, Self::Zstd, Self::Gzip, Self::Bzip2];
    /// What has to be there of a file to know how it is packed.
    pub(crate) const MAGIC_BYTES: usize = 6;

    /// The name of the format.
    pub fn name(self) -> &'static str {
        match self {
            Self::Xz => "xz",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
            Self::Bzip2 => "bzip2",
        }
    }

    /// The program that unpacks a file and keeps the packed one.
    pub(crate) fn program(self) -> &'static str {
        match self {
            Self::Xz => "xz -dk",
            Self::Zstd => "zstd -dk",
            Self::Gzip => "gzip -dk",
            Self::Bzip2 => "bzip2 -dk",
        }
    }

    /// How the file that begins so is packed, if it is.
    pub(crate) fn of(head: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|packing| packing.begins(head))
    }

    fn begins(self, head: &[u8]) -> bool {
        match self {
            Self::Xz => head.starts_with(b"\xfd7zXZ\0"),
            // A frame of data, or one for other programs, with which files made in parallel begin.
            Self::Zstd => {
                head.starts_with(b"\x28\xb5\x2f\xfd")
                    || matches!(head, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
            }
            Self::Gzip => head.starts_with(b"\x1f\x8b"),
            Self::Bzip2 => matches!(head, [b'B', b'Z', b'h', b'1'..=b'9', ..]),
        }
    }

    /// Whether zeroes may follow the end, as tapes and xz itself have them.
    fn may_be_padded(self) -> bool {
        matches!(self, Self::Xz | Self::Gzip)
    }
}

/// Why a packed file cannot be unpacked.
#[derive(Debug)]
pub(crate) enum UnpackError {
    /// The file cannot be read.
    Read(io::Error),
    /// Its content is wrong.
    Fault(Fault),
}

/// What is wrong with the content of a packed file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The file ends before its content does.
    #[error("it ends too early, after {at} bytes")]
    Truncated {
        /// The length of the file.
        at: u64,
    },
    /// Something follows that is not packed.
    #[error("other data follows its end at byte {at}")]
    Trailing {
        /// Where the other data begins.
        at: u64,
    },
    /// It contradicts itself.
    #[error("it is damaged near byte {at}: {reason}")]
    Corrupt {
        /// About where.
        at: u64,
        /// What the library says.
        reason: String,
    },
    /// It was packed with so much memory that unpacking takes too much.
    #[error("unpacking it takes more than {} MiB of memory", MEMORY_LIMIT >> 20)]
    Memory,
}

/// The bytes of a packed file that were read and not yet unpacked.
struct Input<R> {
    source: R,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    ended: bool,
    consumed: u64,
}

impl<R: Read> Input<R> {
    fn new(source: R, bytes: usize) -> Self {
        Self {
            source,
            buffer: vec![0; bytes].into_boxed_slice(),
            start: 0,
            end: 0,
            ended: false,
            consumed: 0,
        }
    }

    /// At least so many bytes, or fewer when the file has no more.
    fn at_least(&mut self, bytes: usize) -> Result<&[u8], UnpackError> {
        while self.end - self.start < bytes && !self.ended {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            match self.source.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.ended = true,
                Ok(count) => self.end += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(UnpackError::Read(error)),
            }
        }
        Ok(&self.buffer[self.start..self.end])
    }

    fn consume(&mut self, bytes: usize) {
        self.start += bytes;
        self.consumed += bytes as u64;
    }
}

/// Unpacks a file that consists of one or more packed pieces.
pub(crate) struct Unpacker<R> {
    packing: Packing,
    threads: u32,
    input: Input<R>,
    /// `None` between two pieces.
    codec: Option<Codec>,
    pieces: u64,
}

impl<R: Read> Unpacker<R> {
    /// `buffer` bytes are read at once; xz has up to `threads` threads.
    pub(crate) fn new(packing: Packing, source: R, buffer: usize, threads: u32) -> Self {
        Self {
            packing,
            threads,
            input: Input::new(source, buffer.max(Packing::MAGIC_BYTES)),
            codec: None,
            pieces: 0,
        }
    }

    /// How many bytes of the packed file are unpacked.
    pub(crate) fn consumed(&self) -> u64 {
        self.input.consumed
    }

    /// The packed file, read as far as it was unpacked or further.
    pub(crate) fn into_source(self) -> R {
        self.input.source
    }

    /// Fills `output` as far as there is content; less than all of it means that the file has ended.
    pub(crate) fn fill(&mut self, output: &mut [u8]) -> Result<usize, UnpackError> {
        let mut filled = 0;
        while filled < output.len() {
            if self.codec.is_none() && !self.begin()? {
                break;
            }
            filled += self.step(&mut output[filled..])?;
        }
        Ok(filled)
    }

    /// Begins the next piece, if there is one.
    fn begin(&mut self) -> Result<bool, UnpackError> {
        while self.pieces > 0 && self.packing.may_be_padded() {
            let rest = self.input.at_least(1)?;
            let zeroes = rest.iter().take_while(|byte| **byte == 0).count();
            if zeroes == 0 {
                break;
            }
            self.input.consume(zeroes);
        }
        let at = self.input.consumed;
        let head = self.input.at_least(Packing::MAGIC_BYTES)?;
        if head.is_empty() && self.pieces > 0 {
            return Ok(false);
        }
        if !self.packing.begins(head) {
            return Err(UnpackError::Fault(Fault::Trailing { at }));
        }
        self.codec = Some(Codec::new(self.packing, self.threads).map_err(UnpackError::Fault)?);
        self.pieces += 1;
        Ok(true)
    }

    fn step(&mut self, output: &mut [u8]) -> Result<usize, UnpackError> {
        let Some(codec) = &mut self.codec else {
            return Ok(0);
        };
        let at = self.input.consumed;
        self.input.at_least(1)?;
        let ended = self.input.ended;
        let input = &self.input.buffer[self.input.start..self.input.end];
        let last = ended && input.is_empty();
        let corrupt = |reason: String| Fault::Corrupt { at, reason };
        let Step {
            consumed,
            produced,
            end,
        } = codec
            .step(input, output, last)
            .map_err(|stop| UnpackError::Fault(stop.into_fault(corrupt)))?;
        self.input.consume(consumed);
        if end {
            self.codec = None;
        } else if consumed == 0 && produced == 0 {
            let fault = if last {
                Fault::Truncated { at }
            } else {
                corrupt("it does not go on".to_owned())
            };
            return Err(UnpackError::Fault(fault));
        }
        Ok(produced)
    }
}

#[cfg(test)]
#[path = "tests.rs"]
pub(crate) mod tests;
