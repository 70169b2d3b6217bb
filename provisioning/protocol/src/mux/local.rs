//! What the two local halves of a stream do.
//!
//! Ids come from [`Core::open`] and [`Core::poll_incoming`]; an entry lives until both
//! [`Core::drop_reader`] and [`Core::drop_writer`] were called, so a half always finds it.

use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::{
    Core, DATA_PAYLOAD, OpenError, STREAM_OUTBOUND,
    stream::{Receiving, Sending, Stream},
};
use crate::frame::{ResetCode, cut};

/// Why a half of a stream cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// The peer aborted the direction that is read.
    #[error("The other end aborted the stream ({0:?})")]
    Reset(ResetCode),
    /// The peer does not read what is sent.
    #[error("The other end does not read the stream any more")]
    Stopped,
    /// The direction was finished or reset here.
    #[error("The stream was already finished")]
    Finished,
    /// The link ended before the stream did.
    #[error("The link to the machine ended")]
    LinkLost,
}

impl Core {
    /// Opens a stream; `target` is the payload of OPEN, at most 1 KiB.
    pub fn open(&mut self, target: Bytes) -> Result<u32, OpenError> {
        if self.ended || self.closing.is_some() {
            return Err(OpenError::Ended);
        }
        if self.streams.len() >= self.limits.streams {
            return Err(OpenError::TooMany);
        }
        let id = self.next_local;
        let Some(next) = id.checked_add(2) else {
            self.close("No stream ids are left");
            return Err(OpenError::IdsExhausted);
        };
        self.next_local = next;
        self.opened += 1;
        let mut stream = Stream::new();
        stream.pending.open = Some(target);
        self.streams.insert(id, stream);
        self.queue_control(id);
        Ok(id)
    }

    /// The next stream that the peer opened, with the payload of its OPEN.
    pub fn poll_incoming(&mut self, cx: &Context<'_>) -> Poll<Option<(u32, Bytes)>> {
        if let Some(incoming) = self.incoming.pop_front() {
            return Poll::Ready(Some(incoming));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        store_one_of(&mut self.incoming_wakers, cx);
        Poll::Pending
    }

    /// Ready once the link has ended.
    pub fn poll_ended(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.ended {
            return Poll::Ready(());
        }
        store_one_of(&mut self.end_wakers, cx);
        Poll::Pending
    }

    /// The next bytes, `None` at the clean end. Calling it says that the bytes of the call
    /// before were passed on: only then may the peer send as many again.
    pub fn poll_read(
        &mut self,
        id: u32,
        cx: &Context<'_>,
    ) -> Poll<Result<Option<Bytes>, StreamError>> {
        self.release(id);
        let Some(stream) = self.streams.get_mut(&id) else {
            return Poll::Ready(Err(StreamError::LinkLost));
        };
        if let Some(chunk) = stream.inbound.pop() {
            stream.in_hand = chunk.len();
            return Poll::Ready(Ok(Some(chunk)));
        }
        match &stream.receiving {
            Receiving::Ended => Poll::Ready(Ok(None)),
            Receiving::Reset(code, _) => Poll::Ready(Err(StreamError::Reset(*code))),
            Receiving::Lost => Poll::Ready(Err(StreamError::LinkLost)),
            Receiving::Open => {
                store(&mut stream.read_waker, cx);
                Poll::Pending
            }
        }
    }

    /// What the peer wrote into its RESET.
    pub fn reset_text(&self, id: u32) -> Option<&str> {
        match &self.streams.get(&id)?.receiving {
            Receiving::Reset(_, text) => Some(text),
            _ => None,
        }
    }

    fn release(&mut self, id: u32) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        let count = std::mem::take(&mut stream.in_hand);
        if count == 0 {
            return;
        }
        self.buffered -= count;
        if stream.receiving != Receiving::Open {
            stream.window.discard(count);
            return;
        }
        let grant = stream.window.release(count, &mut self.pool);
        if grant > 0 {
            stream.pending.credit += grant;
            self.queue_control(id);
        }
    }

    /// The reader is gone: what comes is dropped, and the peer is told unless it has ended.
    pub fn drop_reader(&mut self, id: u32) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        stream.reader_gone = true;
        stream.read_waker = None;
        let count = std::mem::take(&mut stream.in_hand);
        stream.window.discard(count);
        self.buffered -= count + stream.drop_inbound();
        if stream.receiving == Receiving::Open {
            stream.pending.stop = true;
            stream.pending.credit = 0;
            stream.window.abandon(&mut self.pool);
            self.queue_control(id);
        } else {
            stream.window.close(&mut self.pool);
        }
        self.sweep(id);
    }

    /// Waits for the peer's credit and for a share of the link's outbound budget: says how many
    /// bytes may now be given to [`Core::send`]. Until then, or [`Core::unreserve`], no other
    /// stream gets that share.
    pub fn poll_reserve(&mut self, id: u32, cx: &Context<'_>) -> Poll<Result<usize, StreamError>> {
        let Some(stream) = self.streams.get_mut(&id) else {
            return Poll::Ready(Err(StreamError::LinkLost));
        };
        if self.ended {
            return Poll::Ready(Err(StreamError::LinkLost));
        }
        if stream.stopped {
            return Poll::Ready(Err(StreamError::Stopped));
        }
        if stream.sending != Sending::Open {
            return Poll::Ready(Err(StreamError::Finished));
        }
        let queued = stream.outbound.len() + stream.reserved;
        let share = stream.credit.saturating_sub(queued).min(DATA_PAYLOAD);
        if share == 0 || queued >= STREAM_OUTBOUND {
            store(&mut stream.send_waker, cx);
            return Poll::Pending;
        }
        let first = match self.waiting.front() {
            None => true,
            Some(front) => *front == id,
        };
        if !first || self.outbound + share > self.limits.outbound {
            store(&mut stream.send_waker, cx);
            if !std::mem::replace(&mut stream.in_waiting, true) {
                self.waiting.push_back(id);
            }
            return Poll::Pending;
        }
        stream.reserved += share;
        self.outbound += share;
        self.leave_waiting(id);
        Poll::Ready(Ok(share))
    }

    /// Gives back a share that is not used.
    pub fn unreserve(&mut self, id: u32, share: usize) {
        if let Some(stream) = self.streams.get_mut(&id)
            && !self.ended
        {
            let share = share.min(stream.reserved);
            stream.reserved -= share;
            self.outbound -= share;
            self.wake_waiting();
        }
    }

    /// Queues bytes under a share of at least their length, and gives the rest of it back.
    pub fn send(&mut self, id: u32, share: usize, bytes: Bytes) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        let count = bytes.len();
        debug_assert!(count <= share && share <= stream.reserved || self.ended);
        if self.ended || stream.sending != Sending::Open || count == 0 || count > share {
            self.unreserve(id, share);
            return;
        }
        stream.reserved -= count;
        stream.outbound.push(bytes);
        self.queue_ready(id);
        self.unreserve(id, share - count);
    }

    /// The caller of [`Core::poll_reserve`] no longer waits.
    pub fn cancel_reserve(&mut self, id: u32) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.send_waker = None;
        }
        self.leave_waiting(id);
    }

    /// Ends the sending direction after what is queued.
    pub fn finish(&mut self, id: u32) {
        if let Some(stream) = self.streams.get_mut(&id)
            && stream.sending == Sending::Open
            && !self.ended
        {
            stream.sending = Sending::Finishing;
            self.queue_ready(id);
            self.leave_waiting(id);
        }
    }

    /// Aborts the sending direction; what is queued is dropped.
    pub fn reset(&mut self, id: u32, code: ResetCode, text: &str) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        if self.ended || !matches!(stream.sending, Sending::Open | Sending::Finishing) {
            return;
        }
        stream.sending = Sending::Resetting;
        stream.pending.reset = Some((code, cut(text).to_owned()));
        self.outbound -= stream.outbound.clear() + std::mem::take(&mut stream.reserved);
        self.wakes.extend(stream.send_waker.take());
        self.queue_control(id);
        self.leave_waiting(id);
        self.wake_waiting();
    }

    /// Ready when the peer no longer reads, or the link is gone.
    pub fn poll_stopped(&mut self, id: u32, cx: &Context<'_>) -> Poll<()> {
        match self.streams.get_mut(&id) {
            Some(stream) if !stream.stopped && !self.ended => {
                store(&mut stream.stopped_waker, cx);
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }

    /// The writer is gone: without [`Core::finish`] the direction is aborted.
    pub fn drop_writer(&mut self, id: u32) {
        if self
            .streams
            .get(&id)
            .is_some_and(|stream| stream.sending == Sending::Open)
        {
            self.reset(id, ResetCode::Cancelled, "");
        }
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.writer_gone = true;
            stream.send_waker = None;
            stream.stopped_waker = None;
        }
        self.leave_waiting(id);
        self.sweep(id);
    }

    pub(super) fn queue_control(&mut self, id: u32) {
        if let Some(stream) = self.streams.get_mut(&id)
            && !self.ended
            && !std::mem::replace(&mut stream.in_control, true)
        {
            self.control.push_back(id);
            self.kick();
        }
    }

    fn queue_ready(&mut self, id: u32) {
        if let Some(stream) = self.streams.get_mut(&id)
            && !std::mem::replace(&mut stream.in_ready, true)
        {
            self.ready.push_back(id);
            self.kick();
        }
    }

    /// Takes a stream out of the queue for the outbound budget, and lets the next one try.
    fn leave_waiting(&mut self, id: u32) {
        if let Some(stream) = self.streams.get_mut(&id)
            && std::mem::replace(&mut stream.in_waiting, false)
        {
            if self.waiting.front() == Some(&id) {
                self.waiting.pop_front();
            } else {
                self.waiting.retain(|other| *other != id);
            }
            self.wake_waiting();
        }
    }

    /// Lets the first in the queue for the outbound budget try again.
    pub(super) fn wake_waiting(&mut self) {
        if let Some(first) = self.waiting.front()
            && let Some(stream) = self.streams.get_mut(first)
        {
            self.wakes.extend(stream.send_waker.take());
        }
    }
}

fn store(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *slot = Some(cx.waker().clone()),
    }
}

fn store_one_of(wakers: &mut Vec<Waker>, cx: &Context<'_>) {
    if !wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
        wakers.push(cx.waker().clone());
    }
}
