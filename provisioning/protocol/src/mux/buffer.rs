//! Bytes in a row of chunks. Small pieces share a chunk, so that what is held in memory is
//! about what is counted, whatever the sizes of the pieces.

use std::collections::VecDeque;

use bytes::{Buf as _, Bytes, BytesMut};

/// Pieces below this are copied into a chunk of this size.
const SMALL: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Chunks {
    whole: VecDeque<Bytes>,
    /// Comes after `whole`; has capacity left.
    tail: BytesMut,
    length: usize,
}

impl Chunks {
    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Copies.
    pub(super) fn push_slice(&mut self, mut bytes: &[u8]) {
        self.length += bytes.len();
        let room = self.tail.capacity() - self.tail.len();
        if !self.tail.is_empty() && room > 0 {
            let (fits, rest) = bytes.split_at(room.min(bytes.len()));
            self.tail.extend_from_slice(fits);
            bytes = rest;
        }
        if bytes.is_empty() {
            return;
        }
        self.seal();
        self.tail = BytesMut::with_capacity(bytes.len().max(SMALL));
        self.tail.extend_from_slice(bytes);
    }

    /// Keeps large pieces as they are.
    pub(super) fn push(&mut self, bytes: Bytes) {
        if bytes.len() < SMALL {
            self.push_slice(&bytes);
        } else {
            self.seal();
            self.length += bytes.len();
            self.whole.push_back(bytes);
        }
    }

    fn seal(&mut self) {
        if !self.tail.is_empty() {
            self.whole
                .push_back(std::mem::take(&mut self.tail).freeze());
        }
    }

    /// The first chunk, as large as it is.
    pub(super) fn pop(&mut self) -> Option<Bytes> {
        if self.whole.is_empty() {
            self.seal();
        }
        let chunk = self.whole.pop_front()?;
        self.length -= chunk.len();
        Some(chunk)
    }

    /// Moves the first `count` bytes to `out`.
    pub(super) fn move_to(&mut self, out: &mut Vec<u8>, mut count: usize) {
        debug_assert!(count <= self.length);
        self.length -= count;
        while count > 0 {
            if self.whole.is_empty() {
                self.seal();
            }
            let Some(chunk) = self.whole.front_mut() else {
                return;
            };
            let part = count.min(chunk.len());
            out.extend_from_slice(&chunk[..part]);
            chunk.advance(part);
            if chunk.is_empty() {
                self.whole.pop_front();
            }
            count -= part;
        }
    }

    /// Drops everything and says how much it was.
    pub(super) fn clear(&mut self) -> usize {
        let length = self.length;
        *self = Self::default();
        length
    }

    /// Bytes of memory behind it, for tests.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.whole.iter().map(Bytes::len).sum::<usize>()
            + self.whole.capacity() * size_of::<Bytes>()
            + self.tail.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_bytes_share_memory_and_keep_their_order() {
        let mut chunks = Chunks::default();
        let wanted: Vec<u8> = (0..100_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        for byte in &wanted {
            chunks.push_slice(std::slice::from_ref(byte));
        }
        assert_eq!(chunks.len(), wanted.len());
        assert!(
            chunks.memory() < wanted.len() + 16 * 1024,
            "{}",
            chunks.memory()
        );
        let mut seen = Vec::new();
        while let Some(chunk) = chunks.pop() {
            seen.extend_from_slice(&chunk);
        }
        assert_eq!(seen, wanted);
        assert!(chunks.is_empty());
    }

    #[test]
    fn pieces_of_all_sizes_come_out_in_order() {
        let mut chunks = Chunks::default();
        let mut wanted = Vec::new();
        for size in [1, 2000, 3, 1023, 1024, 5, 16384, 1] {
            let piece: Vec<u8> = (0..size)
                .map(|n: u32| (n * 7 + size).to_le_bytes()[0])
                .collect();
            wanted.extend_from_slice(&piece);
            if size % 2 == 0 {
                chunks.push(piece.into());
            } else {
                chunks.push_slice(&piece);
            }
        }
        let mut seen = Vec::new();
        while !chunks.is_empty() {
            let count = chunks.len().min(777);
            chunks.move_to(&mut seen, count);
        }
        assert_eq!(seen, wanted);
    }
}
