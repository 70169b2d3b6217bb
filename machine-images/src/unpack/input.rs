//! The bytes of a packed file on their way to what unpacks them.

use std::io::{self, Read};

use super::{Fault, UnpackError};

/// The bytes of a packed file that were read and not yet unpacked.
pub(super) struct Input<R> {
    source: R,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    ended: bool,
    consumed: u64,
}

impl<R: Read> Input<R> {
    /// `bytes` are read at once.
    pub(super) fn new(source: R, bytes: usize) -> Self {
        Self {
            source,
            buffer: vec![0; bytes].into_boxed_slice(),
            start: 0,
            end: 0,
            ended: false,
            consumed: 0,
        }
    }

    /// How many bytes of the file are done with.
    pub(super) fn consumed(&self) -> u64 {
        self.consumed
    }

    /// The file, read as far as it was unpacked or further.
    pub(super) fn into_source(self) -> R {
        self.source
    }

    /// At least so many bytes, or fewer when the file has no more. The buffer has room for them.
    pub(super) fn at_least(&mut self, bytes: usize) -> Result<&[u8], UnpackError> {
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

    /// Exactly so many bytes, or the fault that they are not there.
    pub(super) fn exactly(&mut self, bytes: usize) -> Result<&[u8], UnpackError> {
        let before = self.consumed;
        let found = self.at_least(bytes)?;
        match found.get(..bytes) {
            Some(wanted) => Ok(wanted),
            None => Err(UnpackError::Fault(Fault::Truncated {
                at: before + found.len() as u64,
            })),
        }
    }

    /// Some bytes, and whether the file has no more than these.
    pub(super) fn some(&mut self) -> Result<(&[u8], bool), UnpackError> {
        self.at_least(1)?;
        Ok((&self.buffer[self.start..self.end], self.ended))
    }

    pub(super) fn consume(&mut self, bytes: usize) {
        self.start += bytes;
        self.consumed += bytes as u64;
    }

    /// Moves bytes to `output` as they are. None: the file has ended.
    pub(super) fn take(&mut self, output: &mut [u8]) -> Result<usize, UnpackError> {
        let (found, _) = self.some()?;
        let count = found.len().min(output.len());
        output[..count].copy_from_slice(&found[..count]);
        self.consume(count);
        Ok(count)
    }
}
