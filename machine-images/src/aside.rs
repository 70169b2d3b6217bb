//! A digest on a thread of its own: who unpacks does not wait for it.

use std::io;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::JoinHandle;

use sha2::{Digest, Sha256};

use crate::checksum::Checksum;

/// How many pieces may wait. A piece is what is unpacked at once.
const WAITING: usize = 2;

/// Digests the pieces that it is given, in their order. Dropped, its thread ends.
pub(crate) struct Aside {
    pieces: SyncSender<Vec<u8>>,
    /// Pieces that were digested, for the next ones.
    used: Receiver<Vec<u8>>,
    thread: JoinHandle<Sha256>,
}

impl Aside {
    /// Starts the thread.
    pub(crate) fn new() -> io::Result<Self> {
        let (pieces, coming) = mpsc::sync_channel::<Vec<u8>>(WAITING);
        let (back, used) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("digest".to_owned())
            .spawn(move || {
                let mut digest = Sha256::new();
                for piece in coming {
                    digest.update(&piece);
                    // Nobody wants it back any more: the end is near.
                    let _ = back.send(piece);
                }
                digest
            })?;
        Ok(Self {
            pieces,
            used,
            thread,
        })
    }

    /// Adds bytes, which are copied.
    pub(crate) fn update(&self, bytes: &[u8]) {
        let mut piece = self.used.try_recv().unwrap_or_default();
        piece.clear();
        piece.extend_from_slice(bytes);
        // The thread ends before this value does only by a panic, which `finish` tells.
        let _ = self.pieces.send(piece);
    }

    /// The checksum of all of them.
    pub(crate) fn finish(self) -> io::Result<Checksum> {
        drop(self.pieces);
        let digest = self.thread.join();
        digest
            .map(Checksum::of)
            .map_err(|_| io::Error::other("the thread that digests ended unexpectedly"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_any_length_are_one_content() {
        let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
        for piece in [1000, 33_333, 100_000] {
            let aside = Aside::new().unwrap();
            for bytes in bytes.chunks(piece) {
                aside.update(bytes);
            }
            let found = aside.finish().unwrap();
            assert_eq!(found, Checksum::of_bytes(&bytes), "{piece}");
        }
        let nothing = Aside::new().unwrap().finish().unwrap();
        assert_eq!(nothing, Checksum::of_bytes(b""));
    }
}
