//! Any order of calls and any cut of the bytes, against a model that only knows what was written.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// Tight, so that every bound is met.
const LIMITS: Limits = Limits {
    streams: 6,
    pool: 48 * 1024,
    outbound: 24 * 1024,
    in_flight: 52 * 1024,
};

#[derive(Clone, Debug)]
enum Op {
    Open(bool),
    Send(bool, usize, usize),
    Finish(bool, usize),
    Reset(bool, usize),
    Read(bool, usize),
    DropReader(bool, usize),
    DropWriter(bool, usize),
    Transmit(bool),
    Deliver(bool, usize),
}

fn op() -> impl Strategy<Value = Op> {
    let side = any::<bool>;
    let stream = || 0..8_usize;
    prop_oneof![
        2 => side().prop_map(Op::Open),
        6 => (side(), stream(), prop_oneof![1..40_usize, 1..40_000_usize])
            .prop_map(|(side, stream, count)| Op::Send(side, stream, count)),
        1 => (side(), stream()).prop_map(|(side, stream)| Op::Finish(side, stream)),
        1 => (side(), stream()).prop_map(|(side, stream)| Op::Reset(side, stream)),
        6 => (side(), stream()).prop_map(|(side, stream)| Op::Read(side, stream)),
        1 => (side(), stream()).prop_map(|(side, stream)| Op::DropReader(side, stream)),
        1 => (side(), stream()).prop_map(|(side, stream)| Op::DropWriter(side, stream)),
        8 => side().prop_map(Op::Transmit),
        8 => (side(), prop_oneof![1..30_usize, 1..70_000_usize])
            .prop_map(|(side, count)| Op::Deliver(side, count)),
    ]
}

/// One direction of one stream, named by its id and its sender.
#[derive(Clone, Debug, Default)]
struct Direction {
    written: usize,
    read: usize,
    finished: bool,
    aborted: bool,
    reader_gone: bool,
}

/// The byte at a place of a direction.
fn byte(id: u32, side: bool, position: usize) -> u8 {
    let mixed = position as u64 * 31 + u64::from(id) * 7 + u64::from(side);
    (mixed ^ (mixed >> 8)).to_le_bytes()[0]
}

struct World {
    cores: [Core; 2],
    /// On the way from each side.
    wires: [Vec<u8>; 2],
    directions: BTreeMap<(u32, bool), Direction>,
    /// Halves that each side still has.
    readers: [BTreeSet<u32>; 2],
    writers: [BTreeSet<u32>; 2],
}

impl World {
    fn new() -> Self {
        Self {
            cores: [core(Role::Host, LIMITS), core(Role::Guest, LIMITS)],
            wires: [Vec::new(), Vec::new()],
            directions: BTreeMap::new(),
            readers: Default::default(),
            writers: Default::default(),
        }
    }

    fn adopt(&mut self, side: bool, id: u32) {
        self.readers[usize::from(side)].insert(id);
        self.writers[usize::from(side)].insert(id);
    }

    fn pick(set: &BTreeSet<u32>, index: usize) -> Option<u32> {
        set.iter().nth(index % set.len().max(1)).copied()
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Open(side) => {
                if let Ok(id) = self.cores[usize::from(side)].open(Bytes::from_static(b"1")) {
                    self.directions.insert((id, side), Direction::default());
                    self.directions.insert((id, !side), Direction::default());
                    self.adopt(side, id);
                }
            }
            Op::Send(side, index, count) => {
                let Some(id) = Self::pick(&self.writers[usize::from(side)], index) else {
                    return;
                };
                let direction = self.directions.get_mut(&(id, side)).unwrap();
                let bytes: Vec<u8> = (0..count)
                    .map(|n| byte(id, side, direction.written + n))
                    .collect();
                direction.written += send(&mut self.cores[usize::from(side)], id, &bytes);
            }
            Op::Finish(side, index) => {
                let Some(id) = Self::pick(&self.writers[usize::from(side)], index) else {
                    return;
                };
                self.cores[usize::from(side)].finish(id);
                let direction = self.directions.get_mut(&(id, side)).unwrap();
                direction.finished |= !direction.aborted;
            }
            Op::Reset(side, index) => {
                let Some(id) = Self::pick(&self.writers[usize::from(side)], index) else {
                    return;
                };
                self.cores[usize::from(side)].reset(id, ResetCode::Refused, "no");
                self.directions.get_mut(&(id, side)).unwrap().aborted = true;
            }
            Op::Read(side, index) => {
                if let Some(id) = Self::pick(&self.readers[usize::from(side)], index) {
                    self.read(side, id);
                }
            }
            Op::DropReader(side, index) => {
                let Some(id) = Self::pick(&self.readers[usize::from(side)], index) else {
                    return;
                };
                self.readers[usize::from(side)].remove(&id);
                self.cores[usize::from(side)].drop_reader(id);
                self.directions.get_mut(&(id, !side)).unwrap().reader_gone = true;
            }
            Op::DropWriter(side, index) => {
                let Some(id) = Self::pick(&self.writers[usize::from(side)], index) else {
                    return;
                };
                self.writers[usize::from(side)].remove(&id);
                self.cores[usize::from(side)].drop_writer(id);
                let direction = self.directions.get_mut(&(id, side)).unwrap();
                direction.aborted |= !direction.finished;
            }
            Op::Transmit(side) => {
                let bytes = transmit(&mut self.cores[usize::from(side)]);
                self.wires[usize::from(side)].extend(bytes);
            }
            Op::Deliver(side, count) => self.deliver(side, count),
        }
    }

    /// Delivers some bytes of what `side` has sent.
    fn deliver(&mut self, side: bool, count: usize) {
        let wire = &mut self.wires[usize::from(side)];
        let other = &mut self.cores[usize::from(!side)];
        let (used, result) = other.receive(&wire[..count.min(wire.len())]);
        assert_eq!(result, Ok(()));
        wire.drain(..used);
        while let Poll::Ready(Some((id, _))) = self.cores[usize::from(!side)].poll_incoming(&cx()) {
            self.adopt(!side, id);
        }
    }

    /// Reads one chunk, and holds what is seen against what was written.
    fn read(&mut self, side: bool, id: u32) -> bool {
        let direction = self.directions.get_mut(&(id, !side)).unwrap();
        match self.cores[usize::from(side)].poll_read(id, &cx()) {
            Poll::Ready(Ok(Some(chunk))) => {
                for (offset, seen) in chunk.iter().enumerate() {
                    assert_eq!(*seen, byte(id, !side, direction.read + offset));
                }
                direction.read += chunk.len();
                assert!(direction.read <= direction.written);
                return true;
            }
            Poll::Ready(Ok(None)) => {
                assert!(direction.finished, "an end that nobody wrote");
                assert_eq!(direction.read, direction.written);
            }
            Poll::Ready(Err(StreamError::Reset(code))) => {
                let refused = code == ResetCode::TooManyStreams;
                assert!(
                    direction.aborted || refused,
                    "a reset that nobody wrote: {code:?}"
                );
            }
            Poll::Ready(Err(error)) => panic!("{error}"),
            Poll::Pending => {}
        }
        false
    }

    fn check_bounds(&self) {
        for core in &self.cores {
            let figures = core.statistics();
            let held: usize = core
                .streams
                .values()
                .map(|stream| stream.window.held())
                .sum();
            assert_eq!(held, figures.buffered_bytes);
            assert!(figures.buffered_bytes <= figures.granted_bytes);
            assert!(figures.granted_bytes <= LIMITS.streams * INITIAL_CREDIT + LIMITS.pool);
            assert!(figures.queued_bytes <= LIMITS.outbound);
            assert!(figures.in_flight_bytes <= LIMITS.in_flight);
            assert!(figures.streams <= LIMITS.streams);
        }
    }

    /// Carries everything until nothing moves.
    fn settle(&mut self) {
        loop {
            for side in [false, true] {
                self.apply(&Op::Transmit(side));
            }
            if self.wires.iter().all(Vec::is_empty) {
                return;
            }
            for side in [false, true] {
                self.deliver(side, usize::MAX);
            }
        }
    }

    /// With nothing on the way, what one end may send is what the other has promised.
    fn check_agreement(&self) {
        for (side, other) in [(0, 1), (1, 0)] {
            for (id, stream) in &self.cores[side].streams {
                let Some(peer) = self.cores[other].streams.get(id) else {
                    continue;
                };
                let open = peer.receiving == super::super::stream::Receiving::Open;
                if open && !peer.reader_gone && stream.outbound.is_empty() {
                    assert_eq!(stream.credit, peer.window.promised(), "stream {id}");
                }
            }
        }
    }

    fn finish(mut self) {
        self.settle();
        self.check_agreement();
        // Everybody ends in good order, and everything that was written arrives.
        for side in [false, true] {
            for id in self.writers[usize::from(side)].clone() {
                self.cores[usize::from(side)].finish(id);
                let direction = self.directions.get_mut(&(id, side)).unwrap();
                direction.finished |= !direction.aborted;
            }
        }
        loop {
            self.settle();
            let mut moved = false;
            for side in [false, true] {
                for id in self.readers[usize::from(side)].clone() {
                    moved |= self.read(side, id);
                }
            }
            if !moved {
                break;
            }
        }
        for ((id, side), direction) in &self.directions {
            let reading = self.readers[usize::from(!side)].contains(id);
            if reading && direction.finished && !direction.aborted {
                assert_eq!(direction.read, direction.written, "stream {id}");
            }
        }
        for side in [0, 1] {
            for id in std::mem::take(&mut self.readers[side]) {
                self.cores[side].drop_reader(id);
            }
            for id in std::mem::take(&mut self.writers[side]) {
                self.cores[side].drop_writer(id);
            }
        }
        self.settle();
        for core in &self.cores {
            let figures = core.statistics();
            assert_eq!((figures.streams, figures.buffered_bytes), (0, 0));
            assert_eq!((figures.queued_bytes, figures.granted_bytes), (0, 0));
            assert!(core.control.is_empty() && core.ready.is_empty() && core.waiting.is_empty());
        }
    }
}

proptest! {
    #[test]
    fn any_order_of_calls(ops in prop::collection::vec(op(), 1..400)) {
        let mut world = World::new();
        for op in &ops {
            world.apply(op);
            world.check_bounds();
        }
        world.finish();
    }

    #[test]
    fn any_bytes_from_the_peer(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        frames in prop::collection::vec((1..9_u8, 0..12_u32, 0..20_usize), 0..60),
    ) {
        let mut guest = core(Role::Guest, LIMITS);
        let own = guest.open(Bytes::from_static(b"1")).unwrap();
        let mut wire = Vec::new();
        for (kind, stream, length) in frames {
            crate::frame::begin(&mut wire, kind, stream, if kind == 2 { length } else { 0 });
            wire.resize(wire.len() + if kind == 2 { length } else { 0 }, 0);
            crate::frame::end(&mut wire, TAG);
        }
        wire.extend(bytes);
        let _ = guest.receive(&wire);
        let figures = guest.statistics();
        prop_assert!(figures.buffered_bytes <= figures.granted_bytes);
        while let Poll::Ready(Some((id, _))) = guest.poll_incoming(&cx()) {
            drop_both(&mut guest, id);
        }
        drop_both(&mut guest, own);
        transmit(&mut guest);
        prop_assert_eq!(guest.statistics().buffered_bytes, 0);
    }
}
