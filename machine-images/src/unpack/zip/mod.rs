//! A zip archive of one file, read from its beginning to its end without a step back.
//!
//! What the header says before the content, what the content is, what may follow it and what the directory at the end says
//! must be the same: programs differ in which of them they believe.

mod header;

use std::io::Read;

use flate2::Crc;

use self::header::{Bad, Directory, Local, Method, Sizes, u16_at, u64_at};
use super::codec::Codec;
use super::fault::ArchiveFault;
use super::input::Input;
use super::pieces::step;
use super::{Fault, Packing, UnpackError};

/// The marks of the records.
pub(super) const LOCAL_HEADER: &[u8] = b"PK\x03\x04";
const DESCRIPTOR: &[u8] = b"PK\x07\x08";
const CENTRAL_HEADER: &[u8] = b"PK\x01\x02";
const WIDE_END: &[u8] = b"PK\x06\x06";
const WIDE_LOCATOR: &[u8] = b"PK\x06\x07";
const END: &[u8] = b"PK\x05\x06";

/// The most that a record may take: names and comments are short.
const RECORD_BYTES: usize = 32 << 10;

/// Gives the one file of an archive.
#[derive(Default)]
pub(super) struct Zip {
    state: State,
    declared: Option<u64>,
}

#[derive(Default)]
enum State {
    #[default]
    Before,
    File(Box<File>),
    End,
}

/// The file, as far as it is unpacked.
struct File {
    header: Local,
    codec: Codec,
    crc: Crc,
    packed: u64,
    unpacked: u64,
    complete: bool,
}

impl Zip {
    /// The length that the header gives the file.
    pub(super) fn declared(&self) -> Option<u64> {
        self.declared
    }

    /// Fills `output` as far as the file has content; less than all of it means that the archive has ended.
    pub(super) fn fill<R: Read>(
        &mut self,
        input: &mut Input<R>,
        output: &mut [u8],
    ) -> Result<usize, UnpackError> {
        if matches!(self.state, State::Before) {
            let file = File::begin(input)?;
            self.declared = file.header.sizes.map(|sizes| sizes.unpacked);
            self.state = State::File(Box::new(file));
        }
        let State::File(file) = &mut self.state else {
            return Ok(0);
        };
        let mut filled = 0;
        while filled < output.len() && !file.complete {
            filled += file.step(input, &mut output[filled..])?;
        }
        if filled < output.len() {
            file.end(input)?;
            self.state = State::End;
        }
        Ok(filled)
    }
}

impl File {
    fn begin<R: Read>(input: &mut Input<R>) -> Result<Self, UnpackError> {
        let at = input.consumed();
        let record = record(input, 30, &[26, 28])?;
        let header = header::local(record).map_err(|bad| refusal(bad, at))?;
        let bytes = record.len();
        input.consume(bytes);
        let codec = match header.method {
            Method::Stored => Codec::Stored,
            Method::Deflated => Codec::new(Packing::Zip, 1)?,
        };
        let complete = header.method == Method::Stored
            && header.sizes.is_some_and(|sizes| sizes.unpacked == 0);
        Ok(Self {
            header,
            codec,
            crc: Crc::new(),
            packed: 0,
            unpacked: 0,
            complete,
        })
    }

    fn step<R: Read>(
        &mut self,
        input: &mut Input<R>,
        output: &mut [u8],
    ) -> Result<usize, UnpackError> {
        let left = match self.header.sizes {
            // What is stored has no end of its own.
            Some(sizes) if self.header.method == Method::Stored => sizes.unpacked - self.unpacked,
            _ => u64::MAX,
        };
        let room = usize::try_from(left).map_or(output.len(), |left| left.min(output.len()));
        let done = step(&mut self.codec, input, &mut output[..room])?;
        input.consume(done.consumed);
        self.crc.update(&output[..done.produced]);
        self.packed += done.consumed as u64;
        self.unpacked += done.produced as u64;
        self.complete = done.end || done.produced as u64 == left;
        if self
            .header
            .sizes
            .is_some_and(|sizes| sizes.unpacked < self.unpacked || sizes.packed < self.packed)
        {
            let reason = "a file is longer than its header says";
            return Err(refusal(Bad::Corrupt(reason), input.consumed()));
        }
        Ok(done.produced)
    }

    /// Reads what follows the content, which is nothing but what describes it.
    fn end<R: Read>(&self, input: &mut Input<R>) -> Result<(), UnpackError> {
        let sizes = Sizes {
            crc: self.crc.sum(),
            packed: self.packed,
            unpacked: self.unpacked,
        };
        self.compare(input, sizes)?;
        let directory_at = input.consumed();
        if input.at_least(4)?.starts_with(LOCAL_HEADER) {
            let second = header::local_name(record(input, 30, &[26, 28])?);
            return Err(self.second(second));
        }
        marked(input, CENTRAL_HEADER)?;
        let central = record(input, 46, &[28, 30, 32])?;
        let bytes = central.len();
        let compared = header::compare(central, &self.header, sizes);
        compared.map_err(|bad| refusal(bad, directory_at))?;
        input.consume(bytes);
        if input.at_least(4)?.starts_with(CENTRAL_HEADER) {
            let second = header::central_name(record(input, 46, &[28, 30, 32])?);
            return Err(self.second(second));
        }
        let directory = Directory {
            at: directory_at,
            bytes: bytes as u64,
        };
        end_of_directory(input, directory)
    }

    /// Compares the content with what the header or the record after the content says.
    fn compare<R: Read>(&self, input: &mut Input<R>, found: Sizes) -> Result<(), UnpackError> {
        let at = input.consumed();
        let other = || {
            let reason = "a file has another checksum or length than it should";
            Err(refusal(Bad::Corrupt(reason), at))
        };
        if let Some(declared) = self.header.sizes {
            return if declared == found { Ok(()) } else { other() };
        }
        let descriptors = header::descriptors(found);
        let longest = descriptors.iter().map(Vec::len).max().unwrap_or_default();
        // What follows a descriptor is longer than the longest one.
        let rest = input.exactly(longest)?;
        let Some(descriptor) = descriptors.iter().find(|bytes| rest.starts_with(bytes)) else {
            return other();
        };
        input.consume(descriptor.len());
        Ok(())
    }

    fn second(&self, second: super::EntryName) -> UnpackError {
        Fault::Archive(ArchiveFault::Second {
            first: self.header.name.clone(),
            second,
        })
        .into()
    }
}

/// The records after the directory, and the end of the file.
fn end_of_directory<R: Read>(
    input: &mut Input<R>,
    directory: Directory,
) -> Result<(), UnpackError> {
    let wide_at = input.consumed();
    let wide = input.at_least(4)?.starts_with(WIDE_END);
    if wide {
        let record = input.exactly(56)?;
        let compared = header::compare_wide_end(record, directory);
        let more = u64_at(record, 4).checked_sub(44);
        compared.map_err(|bad| refusal(bad, wide_at))?;
        let more = more.and_then(|more| usize::try_from(more).ok());
        let more = more.filter(|more| *more <= RECORD_BYTES);
        let Some(more) = more else {
            let reason = "its end has an impossible length";
            return Err(refusal(Bad::Corrupt(reason), wide_at));
        };
        input.exactly(56 + more)?;
        input.consume(56 + more);
        let at = input.consumed();
        marked(input, WIDE_LOCATOR)?;
        if u64_at(input.exactly(20)?, 8) != wide_at {
            let reason = "its end is said to lie elsewhere";
            return Err(refusal(Bad::Corrupt(reason), at));
        }
        input.consume(20);
    }
    let at = input.consumed();
    marked(input, END)?;
    let record = input.exactly(22)?;
    let comment = u16_at(record, 20);
    header::compare_end(record, directory, wide).map_err(|bad| refusal(bad, at))?;
    input.consume(22);
    for _ in 0..comment {
        input.exactly(1)?;
        input.consume(1);
    }
    let at = input.consumed();
    if input.at_least(1)?.is_empty() {
        return Ok(());
    }
    Err(Fault::Trailing { at }.into())
}

/// A record with the parts behind it, whose lengths stand at `lengths`.
fn record<'a, R: Read>(
    input: &'a mut Input<R>,
    fixed: usize,
    lengths: &[usize],
) -> Result<&'a [u8], UnpackError> {
    let at = input.consumed();
    let head = input.exactly(fixed)?;
    let parts = lengths.iter().map(|at| usize::from(u16_at(head, *at)));
    let bytes = fixed + parts.sum::<usize>();
    if bytes > RECORD_BYTES {
        let reason = "a record is longer than 32 KiB";
        return Err(refusal(Bad::Corrupt(reason), at));
    }
    input.exactly(bytes)
}

/// Refuses another record than this one.
fn marked<R: Read>(input: &mut Input<R>, mark: &[u8]) -> Result<(), UnpackError> {
    let at = input.consumed();
    if input.exactly(4)? == mark {
        return Ok(());
    }
    let reason = "something stands in it that does not belong there";
    Err(refusal(Bad::Corrupt(reason), at))
}

fn refusal(bad: Bad, at: u64) -> UnpackError {
    UnpackError::Fault(match bad {
        Bad::Archive(fault) => Fault::Archive(fault),
        Bad::Corrupt(reason) => Fault::Corrupt {
            at,
            reason: format!("in the zip archive, {reason}"),
        },
    })
}

#[cfg(test)]
pub(super) mod tests;
