//! Vectors of `docs/protocol.md`, typed from there, and laws.

use proptest::prelude::*;

use super::*;
use crate::hex;

fn wire<M: Message>(message: &M) -> bytes::BytesMut {
    let mut out = bytes::BytesMut::new();
    encode(message, &mut out).unwrap();
    out
}

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn vector<M: Message + PartialEq + std::fmt::Debug>(message: &M, expected: &str) {
    let wire = wire(message);
    assert_eq!(hex::encode(&wire), expected.replace(' ', ""), "{message:?}");
    let mut decoder = Decoder::default();
    decoder.push(&wire);
    assert_eq!(decoder.next_message().unwrap().as_ref(), Some(message));
    decoder.end().unwrap();
}

#[test]
fn vectors_of_the_host() {
    vector(&ToGuest::Argument(bytes("ls")), "01 02000000 6c73");
    vector(&ToGuest::Variable(bytes("A=b")), "02 03000000 413d62");
    let start = Start {
        user: Some("root".to_owned()),
        directory: None,
        terminal: Some(Terminal {
            kind: "xterm".to_owned(),
            size: WindowSize {
                rows: 24,
                columns: 80,
            },
        }),
    };
    let json = br#"{"user":"root","directory":null,"terminal":{"kind":"xterm","size":{"rows":24,"columns":80}}}"#;
    vector(
        &ToGuest::Start(start),
        &format!("03 5c000000 {}", hex::encode(json)),
    );
    vector(&ToGuest::Stdin(bytes("hi")), "04 02000000 6869");
    vector(&ToGuest::StdinEnd, "05 00000000");
    let size = WindowSize {
        rows: 50,
        columns: 300,
    };
    vector(&ToGuest::Resize(size), "06 04000000 3200 2c01");
    vector(&ToGuest::Signal(Signal::Interrupt), "07 01000000 02");
}

#[test]
fn vectors_of_the_guest() {
    vector(&ToHost::Started, "81 00000000");
    vector(&ToHost::Stdout(bytes("hi")), "82 02000000 6869");
    vector(&ToHost::Stderr(bytes("oh")), "83 02000000 6f68");
    vector(&ToHost::StdinCredit(32768), "84 04000000 00800000");
    vector(&ToHost::StdinClosed, "85 00000000");
    vector(&ToHost::Exit(Exit::Code(3)), "86 02000000 00 03");
    vector(&ToHost::Exit(Exit::Signal(9)), "86 02000000 01 09");
    let failure = Failure {
        kind: FailureKind::NotFound,
        reason: "no".to_owned(),
    };
    let json = br#"{"kind":"not-found","reason":"no"}"#;
    vector(
        &ToHost::Failed(failure),
        &format!("87 22000000 {}", hex::encode(json)),
    );
}

#[test]
fn what_later_builds_add_is_read() {
    let mut decoder = Decoder::<ToHost>::default();
    let json = br#"{"kind":"no-such-moon","reason":"no","more":1}"#;
    let mut frame = vec![0x87, u8::try_from(json.len()).unwrap(), 0, 0, 0];
    frame.extend_from_slice(json);
    decoder.push(&frame);
    let Some(ToHost::Failed(failure)) = decoder.next_message().unwrap() else {
        panic!("no failure");
    };
    assert_eq!(failure.kind, FailureKind::Other);
    let start: Start = serde_json::from_str(r#"{"later":true}"#).unwrap();
    assert_eq!(start, Start::default());
}

fn refused<M: Message + std::fmt::Debug>(frame: &[u8]) -> ExecProtocolError {
    let mut decoder = Decoder::<M>::default();
    decoder.push(frame);
    decoder.next_message().unwrap_err()
}

#[test]
fn bad_frames_are_refused_before_their_payload_is_there() {
    assert!(matches!(
        refused::<ToGuest>(&[0x04, 1, 0, 1, 0]),
        ExecProtocolError::Length {
            kind: 4,
            length: 0x1_0001
        }
    ));
    assert!(matches!(
        refused::<ToHost>(&[0x82, 0xFF, 0xFF, 0xFF, 0xFF]),
        ExecProtocolError::Length { .. }
    ));
}

#[test]
fn bad_payloads_are_refused() {
    // The other direction's kinds, and unknown ones.
    for kind in [0x00, 0x08, 0x81, 0xFF] {
        assert!(
            matches!(refused::<ToGuest>(&[kind, 0, 0, 0, 0]), ExecProtocolError::Kind(at) if at == kind)
        );
    }
    assert!(matches!(
        refused::<ToHost>(&[0x01, 0, 0, 0, 0]),
        ExecProtocolError::Kind(1)
    ));
    for frame in [
        &[0x05, 1, 0, 0, 0, 0][..],
        &[0x06, 3, 0, 0, 0, 0, 0, 0],
        &[0x07, 0, 0, 0, 0],
    ] {
        assert!(matches!(
            refused::<ToGuest>(frame),
            ExecProtocolError::Length { .. }
        ));
    }
    for frame in [
        // A zero in an argument, a variable without a name or a value, an unknown signal.
        &[0x01, 1, 0, 0, 0, 0][..],
        &[0x02, 2, 0, 0, 0, b'=', b'a'],
        &[0x02, 1, 0, 0, 0, b'a'],
        &[0x07, 1, 0, 0, 0, 19],
    ] {
        assert!(
            matches!(refused::<ToGuest>(frame), ExecProtocolError::Meaning(_)),
            "{frame:?}"
        );
    }
    for frame in [
        [0x86, 2, 0, 0, 0, 2, 0],
        [0x86, 2, 0, 0, 0, 1, 0],
        [0x86, 2, 0, 0, 0, 1, 65],
    ] {
        assert!(matches!(
            refused::<ToHost>(&frame),
            ExecProtocolError::Meaning(0x86)
        ));
    }
    assert!(matches!(
        refused::<ToGuest>(&[0x03, 1, 0, 0, 0, b'{']),
        ExecProtocolError::Json { kind: 3, .. }
    ));
}

#[test]
fn too_long_a_message_is_refused_and_leaves_no_trace() {
    let mut out = bytes::BytesMut::from(&b"before"[..]);
    let long = Bytes::from(vec![b'x'; MAX_PAYLOAD + 1]);
    assert!(encode(&ToGuest::Argument(long), &mut out).is_err());
    assert_eq!(&out[..], b"before");
    encode(&ToGuest::Stdin(Bytes::from(vec![0; MAX_PAYLOAD])), &mut out).unwrap();
    assert_eq!(out.len(), 6 + HEADER + MAX_PAYLOAD);
}

#[test]
fn a_stream_that_ends_in_a_frame_is_cut() {
    let mut decoder = Decoder::<ToHost>::default();
    decoder.push(&[0x82, 2, 0, 0, 0, b'x']);
    assert!(decoder.next_message().unwrap().is_none());
    assert!(matches!(decoder.end(), Err(ExecProtocolError::Cut)));
}

#[test]
fn codes_are_those_of_shells() {
    assert_eq!(Exit::Code(255).shell_code(), 255);
    assert_eq!(Exit::Signal(9).shell_code(), 137);
    assert_eq!(Exit::Signal(64).shell_code(), 192);
    for signal in Signal::ALL {
        assert_eq!(Signal::from_number(signal.number()), Some(signal));
    }
}

fn any_bytes() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..300).prop_map(Bytes::from)
}

fn to_guest() -> impl Strategy<Value = ToGuest> {
    let word = "[^\0]{0,40}".prop_map(Bytes::from);
    let size =
        (any::<u16>(), any::<u16>()).prop_map(|(rows, columns)| WindowSize { rows, columns });
    prop_oneof![
        word.prop_map(ToGuest::Argument),
        "[A-Z]{1,5}=[^\0]{0,9}".prop_map(|text| ToGuest::Variable(text.into())),
        (any::<Option<String>>(), any::<Option<String>>()).prop_map(|(user, directory)| {
            ToGuest::Start(Start {
                user,
                directory,
                terminal: None,
            })
        }),
        any_bytes().prop_map(ToGuest::Stdin),
        Just(ToGuest::StdinEnd),
        size.prop_map(ToGuest::Resize),
        prop::sample::select(&Signal::ALL[..]).prop_map(ToGuest::Signal),
    ]
}

fn to_host() -> impl Strategy<Value = ToHost> {
    prop_oneof![
        Just(ToHost::Started),
        any_bytes().prop_map(ToHost::Stdout),
        any_bytes().prop_map(ToHost::Stderr),
        any::<u32>().prop_map(ToHost::StdinCredit),
        Just(ToHost::StdinClosed),
        any::<u8>().prop_map(|code| ToHost::Exit(Exit::Code(code))),
        (1u8..=64).prop_map(|number| ToHost::Exit(Exit::Signal(number))),
        any::<String>().prop_map(|reason| ToHost::Failed(Failure {
            kind: FailureKind::NoSuchUser,
            reason
        })),
    ]
}

/// Whatever the pieces, the same messages come out.
fn law<M: Message + PartialEq + std::fmt::Debug>(messages: &[M], piece: usize) {
    let mut all = bytes::BytesMut::new();
    for message in messages {
        encode(message, &mut all).unwrap();
    }
    let mut decoder = Decoder::<M>::default();
    let mut seen = Vec::new();
    for piece in all.chunks(piece) {
        decoder.push(piece);
        while let Some(message) = decoder.next_message().unwrap() {
            seen.push(message);
        }
    }
    decoder.end().unwrap();
    assert_eq!(seen, messages);
}

proptest! {
    #[test]
    fn laws_of_the_host(messages in prop::collection::vec(to_guest(), 0..12), piece in 1usize..400) {
        law(&messages, piece);
    }

    #[test]
    fn laws_of_the_guest(messages in prop::collection::vec(to_host(), 0..12), piece in 1usize..400) {
        law(&messages, piece);
    }

    #[test]
    fn props_of_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let mut decoder = Decoder::<ToGuest>::default();
        decoder.push(&bytes);
        while let Ok(Some(message)) = decoder.next_message() {
            let mut again = bytes::BytesMut::new();
            prop_assert!(encode(&message, &mut again).is_ok());
        }
        let mut decoder = Decoder::<ToHost>::default();
        decoder.push(&bytes);
        while let Ok(Some(message)) = decoder.next_message() {
            prop_assert_eq!(&wire(&message)[HEADER - 4..HEADER], &u32::try_from(wire(&message).len() - HEADER).unwrap().to_le_bytes()[..]);
        }
    }
}
