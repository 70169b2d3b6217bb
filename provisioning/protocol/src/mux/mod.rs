//! Many streams over one link: state, credit and order of sending, without IO and without a
//! runtime.
//!
//! Bytes from the carrier go into [`Core::receive`]; [`Core::poll_transmit`] gives the bytes for
//! it. The two directions of a stream live and die apart, as in QUIC. The entry of a stream
//! goes when both directions have ended on the wire and both local halves are dropped.
//!
//! Bounds, whatever the other end does:
//!
//! - received and unread bytes: at most what was granted, 256 KiB a stream and 64 MiB a link;
//! - queued outbound bytes: [`Limits::outbound`] in all, handed out in order of asking;
//! - bytes of DATA and END in flight: [`Limits::in_flight`];
//! - control frames: each stream has at most one of a kind pending, refusals are counted.

mod buffer;
mod credit;
mod local;
mod receive;
mod stream;
#[cfg(test)]
mod tests;
mod transmit;

use std::{
    collections::{HashMap, VecDeque},
    task::Waker,
};

use bytes::Bytes;

use self::{credit::Pool, stream::Stream};
pub use self::{local::StreamError, receive::ProtocolError, transmit::Transmit};
use crate::{
    frame::{HEADER, MAX_FRAME, SessionTag, TRAILER},
    hello::Role,
};

/// What each direction of a new stream may send before it was granted anything.
pub const INITIAL_CREDIT: usize = 8 * 1024;
/// The most that a stream's window grows to.
pub const MAX_WINDOW: usize = 256 * 1024;
/// The most that is sent in one DATA frame: its wire form is then 16 KiB, of which two fill what
/// a virtio-serial port takes at a time, and four fill a batch.
pub const DATA_PAYLOAD: usize = 16 * 1024 - HEADER - TRAILER;
/// The most credit that a sender counts.
pub const MAX_CREDIT: usize = 1 << 30;
/// The receiver acknowledges at least each time so many bytes have arrived.
pub const ACK_EVERY: usize = 32 * 1024;
/// The most that one stream queues for sending.
pub const STREAM_OUTBOUND: usize = 64 * 1024;
/// Refusals that may wait for a peer that does not read.
pub const MAX_REFUSALS: usize = 1024;

/// The bounds of a link.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Streams at a time. Each has [`INITIAL_CREDIT`] set aside for it: 4096 x 8 KiB = 32 MiB.
    pub streams: usize,
    /// Shared by all windows above their initial credit: another 32 MiB.
    pub pool: usize,
    /// Bytes queued for sending. The carrier takes batches of 64 KiB, so a few of them keep it
    /// busy, and a byte more would only wait longer.
    pub outbound: usize,
    /// Bytes of DATA and END that were sent and not yet acknowledged. A virtio-serial port
    /// queues 4.4 MB by itself, 40 ms of what it carries; this bounds what a new request has to
    /// wait behind, and is several times what such a port carries in one round trip.
    pub in_flight: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            streams: 4096,
            pool: 32 * 1024 * 1024,
            outbound: 256 * 1024,
            in_flight: 128 * 1024,
        }
    }
}

/// A link must not stand still while the peer waits for more before it acknowledges.
const _: () = assert!(128 * 1024 >= ACK_EVERY + MAX_FRAME);

/// Figures of one link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkStatistics {
    /// Streams that have an entry.
    pub streams: usize,
    /// Bytes received and not yet passed on by their readers.
    pub buffered_bytes: usize,
    /// The most that `buffered_bytes` ever was.
    pub peak_buffered_bytes: usize,
    /// Bytes that the peer may send at once, and those buffered: what the memory is bounded by.
    pub granted_bytes: usize,
    /// Bytes queued for sending.
    pub queued_bytes: usize,
    /// Bytes of DATA and END sent and not yet acknowledged.
    pub in_flight_bytes: usize,
    /// Streams ever opened by either end.
    pub opened_streams: u64,
}

/// Why no stream can be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// The link has ended.
    Ended,
    /// As many streams as there may be are open.
    TooMany,
    /// The last id was used; the link ends.
    IdsExhausted,
}

/// The state of one end of a link.
#[derive(Debug)]
pub struct Core {
    tag: SessionTag,
    limits: Limits,
    streams: HashMap<u32, Stream>,
    /// Next id of ours: odd for the host, even for the guest.
    next_local: u32,
    /// The peer's highest id.
    last_remote: u32,
    opened: u64,
    pool: Pool,
    buffered: usize,
    peak_buffered: usize,

    incoming: VecDeque<(u32, Bytes)>,
    incoming_wakers: Vec<Waker>,
    end_wakers: Vec<Waker>,

    /// Streams with control frames to send, each once.
    control: VecDeque<u32>,
    /// Streams that were refused without an entry.
    refusals: VecDeque<u32>,
    /// Streams with data or an end to send, each once, in turn.
    ready: VecDeque<u32>,
    /// Streams that wait for a share of the outbound budget, each once.
    waiting: VecDeque<u32>,
    /// Queued and reserved outbound bytes.
    outbound: usize,
    in_flight: usize,
    sent: u32,
    received: u32,
    acknowledged: u32,
    closing: Option<String>,
    close_sent: bool,
    writer: Option<Waker>,

    ended: bool,
    /// To be woken once the lock around this is free.
    wakes: Vec<Waker>,
}

impl Core {
    /// A link without streams.
    pub fn new(role: Role, tag: SessionTag, limits: Limits) -> Self {
        Self {
            tag,
            limits,
            streams: HashMap::new(),
            next_local: match role {
                Role::Host => 1,
                Role::Guest => 2,
            },
            last_remote: 0,
            opened: 0,
            pool: Pool::new(limits.pool),
            buffered: 0,
            peak_buffered: 0,
            incoming: VecDeque::new(),
            incoming_wakers: Vec::new(),
            end_wakers: Vec::new(),
            control: VecDeque::new(),
            refusals: VecDeque::new(),
            ready: VecDeque::new(),
            waiting: VecDeque::new(),
            outbound: 0,
            in_flight: 0,
            sent: 0,
            received: 0,
            acknowledged: 0,
            closing: None,
            close_sent: false,
            writer: None,
            ended: false,
            wakes: Vec::new(),
        }
    }

    /// Figures of now.
    pub fn statistics(&self) -> LinkStatistics {
        LinkStatistics {
            streams: self.streams.len(),
            buffered_bytes: self.buffered,
            peak_buffered_bytes: self.peak_buffered,
            granted_bytes: self.limits.pool - self.pool.free()
                + self.streams.len() * INITIAL_CREDIT,
            queued_bytes: self.outbound,
            in_flight_bytes: self.in_flight,
            opened_streams: self.opened,
        }
    }

    /// Ends the link in good order: CLOSE is sent next, after the control frames.
    pub fn close(&mut self, reason: &str) {
        if self.closing.is_none() && !self.ended {
            self.closing = Some(crate::frame::cut(reason).to_owned());
            self.kick();
        }
    }

    /// The link is gone: every half that has not ended cleanly learns of it.
    pub fn end(&mut self) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        for stream in self.streams.values_mut() {
            self.buffered -= stream.lose();
            stream.take_wakers(&mut self.wakes);
        }
        self.incoming.clear();
        self.control.clear();
        self.refusals.clear();
        self.ready.clear();
        self.waiting.clear();
        self.outbound = 0;
        self.wakes.append(&mut self.incoming_wakers);
        self.wakes.append(&mut self.end_wakers);
        self.kick();
    }

    /// Whether [`Core::end`] was called.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Wakers to wake after the lock around this was given back.
    pub fn take_wakes(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.wakes)
    }

    /// Something is to be sent.
    fn kick(&mut self) {
        self.wakes.extend(self.writer.take());
    }

    /// Removes the entry if nothing needs it.
    fn sweep(&mut self, id: u32) {
        let Some(stream) = self.streams.get(&id) else {
            return;
        };
        if (stream.is_over() || (self.ended && stream.is_abandoned()))
            && let Some(mut stream) = self.streams.remove(&id)
        {
            stream.window.close(&mut self.pool);
        }
    }
}
