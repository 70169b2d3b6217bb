//! Vectors of every frame, and what is no frame.

use proptest::prelude::*;

use super::*;

const TAG: SessionTag = SessionTag([0xA1, 0xB2, 0xC3, 0xD4]);

/// The vectors of `docs/protocol.md`.
fn vectors() -> Vec<(Frame<'static>, &'static str)> {
    vec![
        (
            Frame::Open {
                stream: 1,
                target: br#"{"engine":"rootful"}"#,
            },
            "0100140001000000 7b22656e67696e65223a22726f6f7466756c227d a1b2c3d4",
        ),
        (
            Frame::Data {
                stream: 1,
                bytes: b"hello",
            },
            "0200050001000000 68656c6c6f a1b2c3d4",
        ),
        (Frame::End { stream: 1 }, "0300000001000000 a1b2c3d4"),
        (
            Frame::Reset {
                stream: 2,
                code: 5,
                text: b"gone",
            },
            "0400060002000000 0500 676f6e65 a1b2c3d4",
        ),
        (Frame::Stop { stream: 2 }, "0500000002000000 a1b2c3d4"),
        (
            Frame::Credit {
                stream: 3,
                bytes: 65536,
            },
            "0600040003000000 00000100 a1b2c3d4",
        ),
        (
            Frame::Ack {
                received: 0x0102_0304,
            },
            "0700040000000000 04030201 a1b2c3d4",
        ),
        (
            Frame::Close { reason: b"bye" },
            "0800030000000000 627965 a1b2c3d4",
        ),
    ]
}

#[test]
fn vectors_hold() {
    for (frame, text) in vectors() {
        let mut wire = Vec::new();
        encode(&mut wire, TAG, &frame);
        assert_eq!(
            crate::hex::encode(&wire),
            text.replace(' ', ""),
            "{frame:?}"
        );
        assert_eq!(decode(&wire, TAG), Ok(Some((frame, wire.len()))));
    }
}

#[test]
fn vectors_are_the_written_ones() {
    let document = include_str!("../../../docs/protocol.md");
    for (frame, text) in vectors() {
        assert!(
            document.contains(text),
            "docs/protocol.md lacks {text} of {frame:?}"
        );
    }
}

#[test]
fn every_part_of_a_frame_asks_for_more() {
    for (frame, _) in vectors() {
        let mut wire = Vec::new();
        encode(&mut wire, TAG, &frame);
        for length in 0..wire.len() {
            assert_eq!(
                decode(&wire[..length], TAG),
                Ok(None),
                "{length} of {frame:?}"
            );
        }
    }
}

#[test]
fn half_a_frame_completed_by_padding_is_no_frame() {
    for (frame, _) in vectors() {
        let mut whole = Vec::new();
        encode(&mut whole, TAG, &frame);
        for length in 0..whole.len() {
            let mut wire = whole[..length].to_vec();
            wire.resize(length + MAX_FRAME, 0xFF);
            assert!(decode(&wire, TAG).is_err(), "{length} of {frame:?}");
        }
    }
}

#[test]
fn headers_that_lie_are_refused_at_once() {
    let header = |kind: u8, flags: u8, length: u16, stream: u32| {
        let mut bytes = vec![kind, flags];
        bytes.extend(length.to_le_bytes());
        bytes.extend(stream.to_le_bytes());
        bytes
    };
    assert_eq!(decode(&[0], TAG), Err(FrameError::Type(0)));
    assert_eq!(decode(&[9], TAG), Err(FrameError::Type(9)));
    assert_eq!(decode(&[0xFF], TAG), Err(FrameError::Type(0xFF)));
    assert_eq!(
        decode(&[crate::hello::MAGIC[0]], TAG),
        Err(FrameError::Type(0xFE))
    );
    assert_eq!(
        decode(&header(DATA, 1, 5, 1), TAG),
        Err(FrameError::Flags(1))
    );
    for (kind, length) in [
        (OPEN, 0),
        (OPEN, 1025),
        (DATA, 0),
        (DATA, 16385),
        (END, 1),
        (RESET, 1),
        (RESET, 259),
    ] {
        let wire = header(kind, 0, length, 1);
        let length = usize::from(length);
        assert_eq!(decode(&wire, TAG), Err(FrameError::Length { kind, length }));
    }
    assert_eq!(
        decode(&header(DATA, 0, 5, 0), TAG),
        Err(FrameError::Stream { kind: 2, stream: 0 })
    );
    assert_eq!(
        decode(&header(ACK, 0, 4, 1), TAG),
        Err(FrameError::Stream { kind: 7, stream: 1 })
    );
}

#[test]
fn codes_have_distinct_numbers() {
    for number in 0..20 {
        assert_eq!(ResetCode::from_number(number).number(), number);
    }
    assert_eq!(ResetCode::from_number(5), ResetCode::Unreachable);
    assert_eq!(ResetCode::from_number(999), ResetCode::Other(999));
}

#[test]
fn tag_of_padding_is_avoided_and_texts_are_cut_at_characters() {
    assert_ne!(SessionTag::new([0xFF; 4]).0, [0xFF; 4]);
    assert_eq!(SessionTag::new([1, 2, 3, 4]).0, [1, 2, 3, 4]);
    assert_eq!(cut(&"é".repeat(200)).len(), 256);
    assert_eq!(cut(&format!("a{}", "é".repeat(200))).len(), 255);
}

proptest! {
    #[test]
    fn any_bytes_are_taken_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), kind in 0u8..10) {
        let mut wire = bytes;
        if let Some(first) = wire.first_mut() { *first = kind; }
        if let Ok(Some((frame, length))) = decode(&wire, TAG) {
            let mut again = Vec::new();
            encode(&mut again, TAG, &frame);
            prop_assert_eq!(&again[..], &wire[..length]);
        }
    }
}
