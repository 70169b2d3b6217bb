//! JSON from the other end.

#![no_main]

use std::fmt::Debug;

use libfuzzer_sys::fuzz_target;
use machine_protocol::{
    boot::BootParameters,
    message::{AgentEvent, AgentReply, AgentRequest, LineBuffer, Target},
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

fuzz_target!(|input: &[u8]| {
    round_trip!(
        input,
        Target,
        AgentEvent,
        AgentRequest,
        AgentReply,
        BootParameters
    );
    let mut lines = LineBuffer::default();
    for piece in input.chunks(7) {
        lines.push(piece);
        while let Ok(Some(_)) = lines.next_message::<AgentEvent>() {}
    }
});
