//! What is said on a program's stream, of both directions, in one piece and in several.

#![no_main]

use std::fmt::Debug;

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use machine_protocol::exec::{Decoder, Message, ToGuest, ToHost, encode};

fn read<M: Message>(input: &[u8], piece: usize) -> (Vec<M>, bool) {
    let mut decoder = Decoder::default();
    let mut messages = Vec::new();
    for piece in input.chunks(piece) {
        decoder.push(piece);
        loop {
            match decoder.next_message() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(_) => return (messages, false),
            }
        }
    }
    (messages, decoder.end().is_ok())
}

fn check<M: Message + PartialEq + Debug>(input: &[u8], piece: usize) {
    let whole = read::<M>(input, input.len().max(1));
    assert_eq!(whole, read(input, piece));
    let mut again = BytesMut::new();
    for message in &whole.0 {
        // JSON may grow: a character that was written raw is escaped.
        if encode(message, &mut again).is_err() {
            return;
        }
    }
    assert_eq!(read::<M>(&again, piece).0, whole.0);
}

fuzz_target!(|input: &[u8]| {
    let Some((piece, input)) = input.split_first() else {
        return;
    };
    let piece = usize::from(*piece).max(1);
    check::<ToGuest>(input, piece);
    check::<ToHost>(input, piece);
});
