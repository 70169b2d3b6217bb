//! Copies between buffers in memory: what is written, and when it stops.

use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};

use proptest::prelude::*;

use super::*;

/// A file in memory that counts what is written and has limited space.
struct Target {
    content: Cursor<Vec<u8>>,
    written: usize,
    space: usize,
}

impl Target {
    fn new(space: usize) -> Self {
        Self {
            content: Cursor::new(Vec::new()),
            written: 0,
            space,
        }
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.space - self.written;
        if room == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let count = self.content.write(&bytes[..bytes.len().min(room)])?;
        self.written += count;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Target {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.content.seek(to)
    }
}

fn run(bytes: &[u8], target: &mut Target, cancel_after: u64) -> Result<Vec<u64>, CopyError> {
    let length = bytes.len() as u64;
    let mut reports = Vec::new();
    let all = |_: &mut Cursor<&[u8]>, from| Ok((from < length).then_some((from, length)));
    copy(&mut Cursor::new(bytes), target, length, all, |done| {
        reports.push(done);
        if done >= cancel_after {
            Next::Cancel
        } else {
            Next::Continue
        }
    })?;
    Ok(reports)
}

#[test]
fn zeroes_are_not_written() {
    let mut bytes = vec![0; 5 * CHUNK];
    bytes[3 * BLOCK + 7] = 1;
    bytes[4 * BLOCK] = 2;
    let mut target = Target::new(usize::MAX);
    run(&bytes, &mut target, u64::MAX).unwrap();
    assert_eq!(target.written, 2 * BLOCK);
    assert_eq!(target.content.get_ref()[..], bytes[..5 * BLOCK]);
}

#[test]
fn holes_are_not_read() {
    let mut asked = Vec::new();
    let stretches = |_: &mut Unread, from| {
        asked.push(from);
        Ok(if from == 0 {
            Some((CHUNK as u64, CHUNK as u64 + 10))
        } else {
            None
        })
    };
    let mut target = Target::new(usize::MAX);
    let mut source = Unread {
        allowed: CHUNK as u64,
        at: 0,
    };
    copy(&mut source, &mut target, 1 << 40, stretches, |_| {
        Next::Continue
    })
    .unwrap();
    assert_eq!(target.written, 10);
    assert_eq!(asked, [0, CHUNK as u64 + 10]);
}

/// Endless ones, but only at one place.
struct Unread {
    allowed: u64,
    at: u64,
}

impl Read for Unread {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        assert_eq!(self.at, self.allowed, "read inside of a hole");
        buffer.fill(1);
        Ok(buffer.len())
    }
}

impl Seek for Unread {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let SeekFrom::Start(at) = to else {
            panic!("absolute offsets only")
        };
        self.at = at;
        Ok(at)
    }
}

#[test]
fn a_full_target_ends_the_copy() {
    let error = run(&vec![1; 3 * CHUNK], &mut Target::new(CHUNK + 5), u64::MAX).unwrap_err();
    assert!(
        matches!(&error, CopyError::Write(error) if error.kind() == io::ErrorKind::StorageFull),
        "{error:?}"
    );
}

#[test]
fn a_cancelled_copy_stops_at_the_chunk() {
    let mut target = Target::new(usize::MAX);
    let error = run(&vec![1; 5 * CHUNK], &mut target, 2 * CHUNK as u64).unwrap_err();
    assert!(matches!(error, CopyError::Cancelled), "{error:?}");
    assert_eq!(target.written, 2 * CHUNK);
}

#[test]
fn a_source_that_became_shorter_is_an_error_of_reading() {
    let mut target = Target::new(usize::MAX);
    let all = |_: &mut Cursor<&[u8]>, from| Ok((from < 100).then_some((from, 100)));
    let error = copy(
        &mut Cursor::new(&[1; 50][..]),
        &mut target,
        100,
        all,
        |_| Next::Continue,
    );
    assert!(matches!(error, Err(CopyError::Read(_))), "{error:?}");
}

proptest! {
    // Each case is a megabyte on average.
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_copy_is_equal(runs in proptest::collection::vec((any::<bool>(), 1..3 * BLOCK), 0..20)) {
        let bytes: Vec<u8> = runs.iter().flat_map(|&(data, count)| vec![u8::from(data); count]).collect();
        let mut target = Target::new(usize::MAX);
        let reports = run(&bytes, &mut target, u64::MAX).unwrap();
        let mut copied = target.content.into_inner();
        copied.resize(bytes.len(), 0);
        prop_assert!(copied == bytes);
        prop_assert!(reports.is_sorted());
        prop_assert_eq!(reports.last(), Some(&(bytes.len() as u64)));
    }
}
