//! Two ends without IO, and one end against a hostile peer.

mod hostile;
mod model;
mod pair;

use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::*;
use crate::frame::{Frame, ResetCode, encode};

const TAG: SessionTag = SessionTag([0xA1, 0xB2, 0xC3, 0xD4]);

fn cx() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn core(role: Role, limits: Limits) -> Core {
    Core::new(role, TAG, limits)
}

fn wire(frames: &[Frame<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for frame in frames {
        encode(&mut bytes, TAG, frame);
    }
    bytes
}

/// All that an end has to send now.
fn transmit(core: &mut Core) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut batch = Vec::new();
    while core.poll_transmit(&mut batch, 64 * 1024, &cx()) == Poll::Ready(Transmit::Batch) {
        bytes.append(&mut batch);
    }
    bytes.append(&mut batch);
    bytes
}

/// Sends as much as may be sent now; says how much that was.
fn send(core: &mut Core, id: u32, bytes: &[u8]) -> usize {
    let mut sent = 0;
    while sent < bytes.len() {
        let Poll::Ready(Ok(share)) = core.poll_reserve(id, &cx()) else {
            break;
        };
        let part = share.min(bytes.len() - sent);
        core.send(id, share, Bytes::copy_from_slice(&bytes[sent..sent + part]));
        sent += part;
    }
    core.cancel_reserve(id);
    sent
}

/// Reads what is there; the last item says how it stands.
fn read(core: &mut Core, id: u32) -> (Vec<u8>, Poll<Result<(), StreamError>>) {
    let mut bytes = Vec::new();
    loop {
        match core.poll_read(id, &cx()) {
            Poll::Ready(Ok(Some(chunk))) => bytes.extend_from_slice(&chunk),
            Poll::Ready(Ok(None)) => return (bytes, Poll::Ready(Ok(()))),
            Poll::Ready(Err(error)) => return (bytes, Poll::Ready(Err(error))),
            Poll::Pending => return (bytes, Poll::Pending),
        }
    }
}

fn drop_both(core: &mut Core, id: u32) {
    core.drop_reader(id);
    core.drop_writer(id);
}

/// A host and a guest.
struct Pair {
    host: Core,
    guest: Core,
}

impl Pair {
    fn new(limits: Limits) -> Self {
        Self {
            host: core(Role::Host, limits),
            guest: core(Role::Guest, limits),
        }
    }

    /// Carries everything until both are silent.
    fn settle(&mut self) {
        loop {
            let there = transmit(&mut self.host);
            let back = transmit(&mut self.guest);
            if there.is_empty() && back.is_empty() {
                return;
            }
            assert_eq!(self.guest.receive(&there), (there.len(), Ok(())));
            assert_eq!(self.host.receive(&back), (back.len(), Ok(())));
        }
    }

    /// A stream that both ends have.
    fn open(&mut self) -> u32 {
        let id = self.host.open(Bytes::from_static(b"1")).unwrap();
        self.settle();
        let incoming = self.guest.poll_incoming(&cx());
        assert_eq!(incoming, Poll::Ready(Some((id, Bytes::from_static(b"1")))));
        id
    }

    fn assert_empty(&mut self) {
        self.settle();
        for core in [&self.host, &self.guest] {
            let figures = core.statistics();
            assert_eq!(figures.streams, 0);
            assert_eq!(figures.buffered_bytes, 0);
            assert_eq!(figures.queued_bytes, 0);
            assert_eq!(figures.granted_bytes, 0);
            assert!(core.ready.is_empty() && core.waiting.is_empty() && core.control.is_empty());
        }
    }
}
