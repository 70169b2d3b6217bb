//! The copy of a file's content that writes no zeroes: holes stay holes, and blocks of zeroes
//! become holes.

use std::io::{self, Read, Seek, SeekFrom, Write};

/// What is read and reported at once.
pub(crate) const CHUNK: usize = 1 << 20;
/// What is left out when it is all zero; a multiple of every file system's block.
const BLOCK: usize = 64 << 10;
static ZEROES: [u8; BLOCK] = [0; BLOCK];

/// Whether to go on after a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Continue,
    Cancel,
}

/// How a copy failed.
#[derive(Debug)]
pub(crate) enum CopyError {
    Read(io::Error),
    Write(io::Error),
    Cancelled,
}

/// Copies the first `length` bytes of `source` to `target`, which must be empty and read as
/// zeroes where nothing is written; giving it its length is left to the caller.
/// `next_data` names the stretch of data at or after an offset, as [`platform::next_data`] does.
///
/// [`platform::next_data`]: crate::platform::next_data
pub(crate) fn copy<S: Read + Seek, T: Write + Seek>(
    source: &mut S,
    target: &mut T,
    length: u64,
    mut next_data: impl FnMut(&mut S, u64) -> io::Result<Option<(u64, u64)>>,
    mut report: impl FnMut(u64) -> Next,
) -> Result<(), CopyError> {
    let mut buffer = vec![0; CHUNK];
    let mut at = 0;
    while at < length {
        let Some((start, end)) = next_data(source, at).map_err(CopyError::Read)? else {
            break;
        };
        at = start;
        source.seek(SeekFrom::Start(at)).map_err(CopyError::Read)?;
        while at < end {
            let wanted = usize::try_from(end - at).map_or(CHUNK, |left| left.min(CHUNK));
            let chunk = &mut buffer[..wanted];
            source.read_exact(chunk).map_err(CopyError::Read)?;
            write_blocks(target, at, chunk).map_err(CopyError::Write)?;
            at += wanted as u64;
            if report(at) == Next::Cancel {
                return Err(CopyError::Cancelled);
            }
        }
    }
    match report(length) {
        Next::Continue => Ok(()),
        Next::Cancel => Err(CopyError::Cancelled),
    }
}

/// How unpacking failed, if it is not for the packed file.
#[derive(Debug)]
pub(crate) enum FillError<E> {
    Fill(E),
    Write(io::Error),
    TooMuch,
    Cancelled,
}

/// Writes to `target`, as [`copy`] does, what `fill` gives, at most `limit` bytes, and returns how many those were; giving
/// the target its length is left to the caller. `fill` fills a buffer as far as there is content.
pub(crate) fn pour<T: Write + Seek, E>(
    target: &mut T,
    limit: u64,
    mut fill: impl FnMut(&mut [u8]) -> Result<usize, E>,
    mut report: impl FnMut(u64) -> Next,
) -> Result<u64, FillError<E>> {
    let mut buffer = vec![0; CHUNK];
    let mut at = 0;
    loop {
        let filled = fill(&mut buffer).map_err(FillError::Fill)?;
        let end = at + filled as u64;
        if end > limit {
            return Err(FillError::TooMuch);
        }
        write_blocks(target, at, &buffer[..filled]).map_err(FillError::Write)?;
        at = end;
        if report(at) == Next::Cancel {
            return Err(FillError::Cancelled);
        }
        if filled < buffer.len() {
            return Ok(at);
        }
    }
}

/// Writes the blocks that are not zero, neighbours in one piece.
fn write_blocks(target: &mut (impl Write + Seek), offset: u64, chunk: &[u8]) -> io::Result<()> {
    let mut at = 0;
    for run in chunk
        .chunks(BLOCK)
        .collect::<Vec<_>>()
        .chunk_by(|a, b| is_zero(a) == is_zero(b))
    {
        let bytes = run.iter().map(|block| block.len()).sum::<usize>();
        if !is_zero(run[0]) {
            target.seek(SeekFrom::Start(offset + at as u64))?;
            target.write_all(&chunk[at..at + bytes])?;
        }
        at += bytes;
    }
    Ok(())
}

fn is_zero(block: &[u8]) -> bool {
    // The comparison of two slices is a single fast call, in unoptimised builds too.
    block == &ZEROES[..block.len()]
}

#[cfg(test)]
#[path = "copy_tests.rs"]
mod tests;
