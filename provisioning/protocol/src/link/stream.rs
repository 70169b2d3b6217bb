//! Streams and their two halves.

use std::{future::poll_fn, sync::Arc};

use bytes::Bytes;

use super::{StreamError, shared::Shared};
use crate::{frame::ResetCode, message::Target};

/// A stream that the other end opened and that nobody has answered yet. Dropping it refuses it.
#[derive(Debug)]
pub struct Incoming {
    /// What it is to be joined to.
    pub target: Target,
    stream: MuxStream,
}

impl Incoming {
    pub(super) fn new(target: Target, stream: MuxStream) -> Self {
        Self { target, stream }
    }

    /// Takes it. Nothing is sent for that: the opener may already be sending.
    pub fn accept(self) -> MuxStream {
        self.stream
    }

    /// Refuses it.
    pub fn refuse(self, code: ResetCode) {
        self.stream.refuse(code, "");
    }

    /// Refuses it and says why, for the other end's log; cut after 256 bytes.
    pub fn refuse_with(self, code: ResetCode, text: &str) {
        self.stream.refuse(code, text);
    }
}

/// Both halves of a stream.
#[derive(Debug)]
pub struct MuxStream {
    recv: RecvHalf,
    send: SendHalf,
}

impl MuxStream {
    pub(super) fn new(shared: &Arc<Shared>, id: u32) -> Self {
        Self {
            recv: RecvHalf {
                shared: Arc::clone(shared),
                id,
            },
            send: SendHalf {
                shared: Arc::clone(shared),
                id,
            },
        }
    }

    /// The halves, each with a life of its own.
    pub fn into_split(self) -> (RecvHalf, SendHalf) {
        (self.recv, self.send)
    }

    /// Aborts both directions, with a text for the other end's log.
    pub fn refuse(mut self, code: ResetCode, text: &str) {
        self.send.reset_with(code, text);
    }
}

/// Reads one direction. Dropping it before the end tells the peer to stop.
#[derive(Debug)]
pub struct RecvHalf {
    shared: Arc<Shared>,
    id: u32,
}

impl RecvHalf {
    /// The next bytes, in the pieces in which they lie; `None` at the clean end. A call says that
    /// the bytes of the call before were passed on: only then may the peer send as many again.
    /// Cancel safe.
    pub async fn read(&mut self) -> Result<Option<Bytes>, StreamError> {
        poll_fn(|cx| self.shared.with(|core| core.poll_read(self.id, cx))).await
    }

    /// What the peer wrote into its reset, once [`RecvHalf::read`] has reported one.
    pub fn reset_text(&self) -> Option<String> {
        self.shared
            .with(|core| core.reset_text(self.id).map(str::to_owned))
    }
}

impl Drop for RecvHalf {
    fn drop(&mut self) {
        self.shared.with(|core| core.drop_reader(self.id));
    }
}

/// Writes the other direction. Dropping it without [`SendHalf::finish`] aborts the direction.
#[derive(Debug)]
pub struct SendHalf {
    shared: Arc<Shared>,
    id: u32,
}

impl SendHalf {
    /// Waits until bytes may be sent: the peer has granted some, and this stream has its turn of
    /// the little that the link queues. Reserve once there is something to send, and do not wait
    /// for anything with a permit in hand: it is taken from all streams of the link. Cancel safe.
    pub async fn reserve(&mut self) -> Result<Permit<'_>, StreamError> {
        let mut waiting = Waiting {
            half: self,
            done: false,
        };
        let share = poll_fn(|cx| {
            waiting
                .half
                .shared
                .with(|core| core.poll_reserve(waiting.half.id, cx))
        })
        .await;
        waiting.done = true;
        drop(waiting);
        let share = share?;
        Ok(Permit { half: self, share })
    }

    /// Sends all of it, copied, in as many pieces as it takes. Not cancel safe.
    pub async fn write_all(&mut self, mut bytes: &[u8]) -> Result<(), StreamError> {
        while !bytes.is_empty() {
            let permit = self.reserve().await?;
            let (part, rest) = bytes.split_at(permit.max_len().min(bytes.len()));
            permit.send(Bytes::copy_from_slice(part));
            bytes = rest;
        }
        Ok(())
    }

    /// The clean end, after all that was sent.
    pub fn finish(&mut self) {
        self.shared.with(|core| core.finish(self.id));
    }

    /// Aborts the direction: what is queued is dropped.
    pub fn reset(&mut self, code: ResetCode) {
        self.reset_with(code, "");
    }

    /// [`SendHalf::reset`] with a text for the other end's log; cut after 256 bytes.
    pub fn reset_with(&mut self, code: ResetCode, text: &str) {
        self.shared.with(|core| core.reset(self.id, code, text));
    }

    /// Ready when the peer no longer reads, or the link is lost. Cancel safe.
    pub async fn stopped(&mut self) {
        poll_fn(|cx| self.shared.with(|core| core.poll_stopped(self.id, cx))).await;
    }
}

impl Drop for SendHalf {
    fn drop(&mut self) {
        self.shared.with(|core| core.drop_writer(self.id));
    }
}

/// Takes a sender out of the queue when its future is dropped.
struct Waiting<'a> {
    half: &'a SendHalf,
    done: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.half
                .shared
                .with(|core| core.cancel_reserve(self.half.id));
        }
    }
}

/// The right to send some bytes. Dropping it gives the right back.
#[derive(Debug)]
#[must_use]
pub struct Permit<'a> {
    half: &'a SendHalf,
    share: usize,
}

impl Permit<'_> {
    /// The most that [`Permit::send`] takes; at least 1.
    pub fn max_len(&self) -> usize {
        self.share
    }

    /// Queues bytes, at most [`Permit::max_len`] of them; the rest is cut off.
    pub fn send(mut self, mut bytes: Bytes) {
        let share = std::mem::take(&mut self.share);
        bytes.truncate(share);
        self.half
            .shared
            .with(|core| core.send(self.half.id, share, bytes));
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.share > 0 {
            self.half
                .shared
                .with(|core| core.unreserve(self.half.id, self.share));
        }
    }
}
