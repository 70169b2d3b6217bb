//! One end of a link against bytes of any kind: raw ones, and frames with the right trailer.

#![no_main]

use std::task::{Context, Poll, Waker};

use libfuzzer_sys::fuzz_target;
use machine_protocol::{
    frame::{SessionTag, decode},
    hello::Role,
    mux::{Core, Limits, Transmit},
};

fuzz_target!(|input: &[u8]| {
    let tag = SessionTag::new([0; 4]);
    let limits = Limits {
        streams: 8,
        pool: 64 * 1024,
        ..Limits::default()
    };
    let mut core = Core::new(Role::Guest, tag, limits);
    let cx = Context::from_waker(Waker::noop());
    let own = core.open(bytes::Bytes::from_static(b"1")).ok();
    let mut wire = Vec::new();
    let mut rest = input;
    // A command is: kind, stream, length, and so many bytes of payload.
    while let Some((&[kind, stream, length], tail)) = rest.split_first_chunk::<3>() {
        let (payload, tail) = tail.split_at(usize::from(length).min(tail.len()));
        rest = tail;
        if kind == 0xFF {
            // Raw, without a trailer.
            wire.extend_from_slice(payload);
            break;
        }
        wire.extend_from_slice(&[kind, 0]);
        wire.extend_from_slice(
            &u16::try_from(payload.len())
                .unwrap_or_default()
                .to_le_bytes(),
        );
        wire.extend_from_slice(&[stream, 0, 0, 0]);
        wire.extend_from_slice(payload);
        wire.extend_from_slice(&[0; 4]);
    }
    let _ = decode(input, tag);
    let mut taken = Vec::new();
    let mut out = Vec::new();
    // Cut in two places, and answered in between.
    let cut = wire.len() / 2;
    let mut used = 0;
    for end in [cut, wire.len()] {
        let (count, result) = core.receive(&wire[used..end]);
        used += count;
        let figures = core.statistics();
        assert!(figures.buffered_bytes <= figures.granted_bytes);
        assert!(figures.streams <= 8);
        while let Poll::Ready(Some((id, _))) = core.poll_incoming(&cx) {
            taken.push(id);
        }
        for id in taken.iter().chain(&own) {
            let _ = core.poll_read(*id, &cx);
        }
        while core.poll_transmit(&mut out, 64 * 1024, &cx) == Poll::Ready(Transmit::Batch) {
            out.clear();
        }
        if result.is_err() {
            core.end();
            break;
        }
    }
    for id in taken.iter().chain(&own) {
        core.drop_reader(*id);
        core.drop_writer(*id);
    }
    assert_eq!(core.statistics().buffered_bytes, 0);
    if core.has_ended() {
        assert_eq!(core.statistics().streams, 0);
    }
});
