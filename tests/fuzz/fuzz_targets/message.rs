//! JSON from the other end.

#![no_main]

use std::fmt::Debug;

use libfuzzer_sys::fuzz_target;
use machine_protocol::{
    boot::BootParameters,
    message::{AgentEvent, AgentReply, AgentRequest, LineBuffer, Target},
    publish::{
        PublishReply, PublishRequest,
        datagram::{Datagrams, framed},
    },
};

macro_rules! round_trip {
    ($input:expr, $($kind:ty),*) => {$(
        if let Ok(message) = serde_json::from_slice::<$kind>($input) {
            let text = serde_json::to_vec(&message).unwrap();
            same(&message, &serde_json::from_slice::<$kind>(&text).unwrap());
        }
    )*};
}

fn same<T: PartialEq + Debug>(one: &T, other: &T) {
    assert_eq!(one, other);
}

/// The datagrams in bytes that come in pieces; those that fit are written again the same.
fn datagrams(input: &[u8], piece: usize) -> Vec<Vec<u8>> {
    let mut cut = Datagrams::default();
    let (mut seen, mut at) = (Vec::new(), 0);
    for piece in input.chunks(piece) {
        cut.push(piece);
        while let Some(datagram) = cut.next_datagram() {
            let length = 2 + datagram.len();
            if let Some(frame) = framed(&datagram) {
                assert_eq!(frame, input[at..at + length]);
            }
            at += length;
            seen.push(datagram.to_vec());
        }
    }
    seen
}

fuzz_target!(|input: &[u8]| {
    round_trip!(
        input,
        Target,
        AgentEvent,
        AgentRequest,
        AgentReply,
        PublishRequest,
        PublishReply,
        BootParameters
    );
    let mut lines = LineBuffer::default();
    for piece in input.chunks(7) {
        lines.push(piece);
        while let Ok(Some(_)) = lines.next_message::<AgentEvent>() {}
    }
    assert_eq!(datagrams(input, 7), datagrams(input, input.len().max(1)));
});
