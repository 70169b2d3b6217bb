//! Files that consist of one or more pieces, each packed by itself: what xz, zstd, gzip and bzip2 make.

use std::io::Read;

use super::codec::{self, Codec, Step};
use super::input::Input;
use super::{Fault, Packing, UnpackError};

/// Unpacks a file that consists of one or more packed pieces.
pub(super) struct Pieces {
    packing: Packing,
    threads: u32,
    /// `None` between two pieces.
    codec: Option<Codec>,
    count: u64,
    declared: Option<u64>,
}

impl Pieces {
    /// xz has up to `threads` threads.
    pub(super) fn new(packing: Packing, threads: u32) -> Self {
        Self {
            packing,
            threads,
            codec: None,
            count: 0,
            declared: None,
        }
    }

    /// What the first piece says that it unpacks to. Others may follow.
    pub(super) fn declared(&self) -> Option<u64> {
        self.declared
    }

    /// Fills `output` as far as there is content; less than all of it means that the file has ended.
    pub(super) fn fill<R: Read>(
        &mut self,
        input: &mut Input<R>,
        output: &mut [u8],
    ) -> Result<usize, UnpackError> {
        let mut filled = 0;
        while filled < output.len() {
            if self.codec.is_none() && !self.begin(input)? {
                break;
            }
            filled += self.step(input, &mut output[filled..])?;
        }
        Ok(filled)
    }

    /// Begins the next piece, if there is one.
    fn begin<R: Read>(&mut self, input: &mut Input<R>) -> Result<bool, UnpackError> {
        while self.count > 0 && self.packing.may_be_padded() {
            let rest = input.at_least(1)?;
            let zeroes = rest.iter().take_while(|byte| **byte == 0).count();
            if zeroes == 0 {
                break;
            }
            input.consume(zeroes);
        }
        let at = input.consumed();
        let head = input.at_least(Packing::PIECE_BYTES)?;
        if head.is_empty() && self.count > 0 {
            return Ok(false);
        }
        if !self.packing.begins(head) {
            return Err(Fault::Trailing { at }.into());
        }
        if self.packing == Packing::Zstd {
            self.declared = self.declared.or_else(|| codec::zstd_declared(head));
        }
        self.codec = Some(Codec::new(self.packing, self.threads)?);
        self.count += 1;
        Ok(true)
    }

    fn step<R: Read>(
        &mut self,
        input: &mut Input<R>,
        output: &mut [u8],
    ) -> Result<usize, UnpackError> {
        let Some(codec) = &mut self.codec else {
            return Ok(0);
        };
        let Step {
            consumed,
            produced,
            end,
        } = step(codec, input, output)?;
        input.consume(consumed);
        if end {
            self.codec = None;
        }
        Ok(produced)
    }
}

/// One step of unpacking, which leads further or is an error. What it consumed is left to the caller to take away.
pub(super) fn step<R: Read>(
    codec: &mut Codec,
    input: &mut Input<R>,
    output: &mut [u8],
) -> Result<Step, UnpackError> {
    let at = input.consumed();
    let (bytes, ended) = input.some()?;
    let last = ended && bytes.is_empty();
    let corrupt = |reason: String| Fault::Corrupt { at, reason };
    let step = codec
        .step(bytes, output, last)
        .map_err(|stop| stop.into_fault(corrupt))?;
    if !step.end && step.consumed == 0 && step.produced == 0 {
        return Err(UnpackError::Fault(if last {
            Fault::Truncated { at }
        } else {
            corrupt("it does not go on".to_owned())
        }));
    }
    Ok(step)
}
