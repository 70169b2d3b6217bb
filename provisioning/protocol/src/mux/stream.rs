//! One stream: the states of its two directions, and what it still has to tell the peer.
//!
//! ```text
//! receiving:  Open --END--> Ended          sending:  Open --finish--> Finishing --sent--> Ended
//!               `---RESET-> Reset                      `--reset, STOP--> Resetting --sent--> Reset
//! ```

use std::task::Waker;

use bytes::Bytes;

use super::{
    INITIAL_CREDIT,
    buffer::Chunks,
    credit::{Pool, Window},
};
use crate::frame::ResetCode;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Receiving {
    Open,
    Ended,
    Reset(ResetCode, String),
    /// The link went first.
    Lost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sending {
    Open,
    /// END follows the queued bytes.
    Finishing,
    Ended,
    /// RESET is pending.
    Resetting,
    Reset,
}

/// Control frames that were not sent yet; at most one of each kind.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) open: Option<Bytes>,
    pub(super) reset: Option<(ResetCode, String)>,
    pub(super) stop: bool,
    pub(super) credit: usize,
}

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) receiving: Receiving,
    pub(super) window: Window,
    pub(super) inbound: Chunks,
    /// The chunk that the reader has and has not passed on yet.
    pub(super) in_hand: usize,
    pub(super) reader_gone: bool,
    pub(super) read_waker: Option<Waker>,

    pub(super) sending: Sending,
    /// Bytes that the peer lets us send, queued ones included.
    pub(super) credit: usize,
    pub(super) outbound: Chunks,
    pub(super) reserved: usize,
    /// The peer does not read.
    pub(super) stopped: bool,
    pub(super) writer_gone: bool,
    pub(super) send_waker: Option<Waker>,
    pub(super) stopped_waker: Option<Waker>,

    pub(super) pending: Pending,
    /// In the queue of that name.
    pub(super) in_control: bool,
    pub(super) in_ready: bool,
    pub(super) in_waiting: bool,
}

impl Stream {
    pub(super) fn new() -> Self {
        Self {
            receiving: Receiving::Open,
            window: Window::new(),
            inbound: Chunks::default(),
            in_hand: 0,
            reader_gone: false,
            read_waker: None,
            sending: Sending::Open,
            credit: INITIAL_CREDIT,
            outbound: Chunks::default(),
            reserved: 0,
            stopped: false,
            writer_gone: false,
            send_waker: None,
            stopped_waker: None,
            pending: Pending::default(),
            in_control: false,
            in_ready: false,
            in_waiting: false,
        }
    }

    /// Both directions have ended on the wire and both halves are dropped.
    pub(super) fn is_over(&self) -> bool {
        self.is_abandoned()
            && matches!(self.sending, Sending::Ended | Sending::Reset)
            && self.receiving != Receiving::Open
    }

    /// Both halves are dropped.
    pub(super) fn is_abandoned(&self) -> bool {
        self.reader_gone && self.writer_gone
    }

    /// What arrived and was not read is dropped; says how much it was.
    pub(super) fn drop_inbound(&mut self) -> usize {
        let count = self.inbound.clear();
        self.window.discard(count);
        count
    }

    /// No more will come: what the reader does not need goes back to the pool.
    pub(super) fn end_receiving(&mut self, state: Receiving, pool: &mut Pool) {
        self.receiving = state;
        self.pending.stop = false;
        self.pending.credit = 0;
        self.window.close(pool);
    }

    /// The link is gone. A direction whose end has arrived stays readable; returns how many
    /// bytes were dropped of another one.
    pub(super) fn lose(&mut self) -> usize {
        self.pending = Pending::default();
        self.in_control = false;
        self.in_ready = false;
        self.in_waiting = false;
        self.outbound.clear();
        self.reserved = 0;
        if self.receiving == Receiving::Open {
            self.receiving = Receiving::Lost;
            self.drop_inbound()
        } else {
            0
        }
    }

    pub(super) fn take_wakers(&mut self, wakes: &mut Vec<Waker>) {
        wakes.extend(self.read_waker.take());
        wakes.extend(self.send_waker.take());
        wakes.extend(self.stopped_waker.take());
    }
}
