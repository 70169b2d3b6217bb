//! Two ends of a link obey calls made from the input; both keep to the protocol.

#![no_main]

use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use machine_protocol::{
    frame::{ResetCode, SessionTag},
    hello::Role,
    mux::{Core, Limits, Transmit},
};

struct End {
    core: Core,
    readers: Vec<u32>,
    writers: Vec<u32>,
    wire: Vec<u8>,
}

fn pick(ids: &[u32], index: u8) -> Option<u32> {
    ids.get(usize::from(index) % ids.len().max(1)).copied()
}

fn step(ends: &mut [End; 2], side: usize, op: u8, index: u8, size: usize) {
    let cx = Context::from_waker(Waker::noop());
    let end = &mut ends[side];
    match op {
        0 => {
            if let Ok(id) = end.core.open(Bytes::from_static(b"1")) {
                end.readers.push(id);
                end.writers.push(id);
            }
        }
        1 => {
            let Some(id) = pick(&end.writers, index) else {
                return;
            };
            match end.core.poll_reserve(id, &cx) {
                Poll::Ready(Ok(share)) => {
                    end.core
                        .send(id, share, Bytes::from(vec![7; size.min(share)]));
                }
                _ => end.core.cancel_reserve(id),
            }
        }
        2 => {
            let Some(id) = pick(&end.readers, index) else {
                return;
            };
            if let Poll::Ready(Ok(Some(bytes))) = end.core.poll_read(id, &cx) {
                assert!(bytes.iter().all(|byte| *byte == 7));
            }
        }
        3 => pick(&end.writers, index)
            .into_iter()
            .for_each(|id| end.core.finish(id)),
        4 => pick(&end.writers, index)
            .into_iter()
            .for_each(|id| end.core.reset(id, ResetCode::Refused, "no")),
        5 => {
            let Some(id) = pick(&end.readers, index) else {
                return;
            };
            end.readers.retain(|other| *other != id);
            end.core.drop_reader(id);
        }
        6 => {
            let Some(id) = pick(&end.writers, index) else {
                return;
            };
            end.writers.retain(|other| *other != id);
            end.core.drop_writer(id);
        }
        7 => {
            let mut batch = Vec::new();
            while end.core.poll_transmit(&mut batch, 64 * 1024, &cx) == Poll::Ready(Transmit::Batch)
            {
                end.wire.append(&mut batch);
            }
        }
        _ => {
            let count = size.min(end.wire.len());
            let bytes: Vec<u8> = end.wire[..count].to_vec();
            let other = &mut ends[1 - side];
            let (used, result) = other.core.receive(&bytes);
            assert_eq!(result, Ok(()));
            while let Poll::Ready(Some((id, _))) = other.core.poll_incoming(&cx) {
                other.readers.push(id);
                other.writers.push(id);
            }
            ends[side].wire.drain(..used);
        }
    }
}

fn settle(ends: &mut [End; 2]) {
    loop {
        step(ends, 0, 7, 0, 0);
        step(ends, 1, 7, 0, 0);
        if ends.iter().all(|end| end.wire.is_empty()) {
            return;
        }
        step(ends, 0, 8, 0, usize::MAX);
        step(ends, 1, 8, 0, usize::MAX);
    }
}

fuzz_target!(|input: &[u8]| {
    let tag = SessionTag::new([1; 4]);
    let limits = Limits {
        streams: 6,
        pool: 48 * 1024,
        outbound: 24 * 1024,
        in_flight: 52 * 1024,
    };
    let mut ends = [Role::Host, Role::Guest].map(|role| End {
        core: Core::new(role, tag, limits),
        readers: Vec::new(),
        writers: Vec::new(),
        wire: Vec::new(),
    });
    for command in input.chunks_exact(4) {
        let size = usize::from(u16::from_le_bytes([command[2], command[3]]));
        step(
            &mut ends,
            usize::from(command[0] >> 7),
            (command[0] & 0x7F) % 9,
            command[1],
            size,
        );
        for end in &ends {
            let figures = end.core.statistics();
            assert!(figures.buffered_bytes <= figures.granted_bytes);
            assert!(figures.queued_bytes <= limits.outbound);
            assert!(figures.in_flight_bytes <= limits.in_flight);
        }
    }
    settle(&mut ends);
    for end in &mut ends {
        for id in std::mem::take(&mut end.readers) {
            end.core.drop_reader(id);
        }
        for id in std::mem::take(&mut end.writers) {
            end.core.drop_writer(id);
        }
    }
    settle(&mut ends);
    for end in &ends {
        let figures = end.core.statistics();
        assert_eq!(
            (figures.streams, figures.granted_bytes, figures.queued_bytes),
            (0, 0, 0)
        );
    }
});
