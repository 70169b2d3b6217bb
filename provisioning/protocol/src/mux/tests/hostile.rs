//! One end against a peer that does what it must not.

use super::*;

/// A guest with a stream of the host's, id 1, taken.
fn guest() -> Core {
    let mut guest = core(Role::Guest, Limits::default());
    assert_eq!(
        guest
            .receive(&wire(&[Frame::Open {
                stream: 1,
                target: b"1"
            }]))
            .1,
        Ok(())
    );
    assert!(guest.poll_incoming(&cx()).is_ready());
    guest
}

fn refused(frames: &[Frame<'_>], error: ProtocolError) {
    let bytes = wire(frames);
    assert_eq!(
        guest().receive(&bytes),
        (bytes.len(), Err(error)),
        "{frames:?}"
    );
}

#[test]
fn each_breach_ends_the_link() {
    let (end, stop) = (Frame::End { stream: 1 }, Frame::Stop { stream: 1 });
    let data = Frame::Data {
        stream: 1,
        bytes: b"x",
    };
    let reset = Frame::Reset {
        stream: 1,
        code: 1,
        text: b"",
    };
    let full = Frame::Data {
        stream: 1,
        bytes: &[0; INITIAL_CREDIT],
    };
    refused(
        &[Frame::Open {
            stream: 1,
            target: b"1",
        }],
        ProtocolError::OpenId(1),
    );
    refused(
        &[Frame::Open {
            stream: 2,
            target: b"1",
        }],
        ProtocolError::OpenId(2),
    );
    refused(
        &[Frame::Data {
            stream: 3,
            bytes: b"x",
        }],
        ProtocolError::NeverOpened(3),
    );
    refused(&[Frame::Stop { stream: 2 }], ProtocolError::NeverOpened(2));
    refused(
        &[Frame::Credit {
            stream: 5,
            bytes: 1,
        }],
        ProtocolError::NeverOpened(5),
    );
    refused(&[end, data], ProtocolError::AfterEnd(1));
    refused(&[end, end], ProtocolError::AfterEnd(1));
    refused(&[end, reset], ProtocolError::AfterEnd(1));
    refused(&[reset, data], ProtocolError::AfterEnd(1));
    refused(&[stop, stop, end, end], ProtocolError::AfterEnd(1));
    refused(&[full, data], ProtocolError::Credit(1));
    refused(&[Frame::Ack { received: 1 }], ProtocolError::Ack);
    refused(
        &[Frame::Credit {
            stream: 1,
            bytes: u32::MAX,
        }],
        ProtocolError::Grant(1),
    );
    refused(
        &[Frame::Close { reason: b"a\x1bb" }],
        ProtocolError::Closed("a?b".into()),
    );
}

#[test]
fn bytes_of_another_session_are_handed_back_from_the_frame_at_fault_on() {
    let mut guest = guest();
    let mut bytes = wire(&[Frame::Data {
        stream: 1,
        bytes: b"good",
    }]);
    let good = bytes.len();
    bytes.extend(&wire(&[Frame::End { stream: 1 }])[..9]);
    bytes.extend([0xFF; 20]);
    let (used, result) = guest.receive(&bytes);
    assert_eq!(used, good);
    assert!(matches!(result, Err(ProtocolError::Frame(_))));
}

#[test]
fn frames_for_forgotten_streams_are_ignored() {
    let mut guest = guest();
    guest.finish(1);
    drop_both(&mut guest, 1);
    transmit(&mut guest);
    assert_eq!(
        guest
            .receive(&wire(&[Frame::Reset {
                stream: 1,
                code: 1,
                text: b""
            }]))
            .1,
        Ok(())
    );
    assert_eq!(guest.statistics().streams, 0);
    let late = wire(&[
        Frame::Data {
            stream: 1,
            bytes: b"late",
        },
        Frame::Credit {
            stream: 1,
            bytes: 9,
        },
        Frame::Stop { stream: 1 },
        Frame::End { stream: 1 },
    ]);
    assert_eq!(guest.receive(&late), (late.len(), Ok(())));
    // Its END is in flight for ever: this peer does not acknowledge.
    let figures = LinkStatistics {
        opened_streams: 1,
        in_flight_bytes: 12,
        ..Default::default()
    };
    assert_eq!(guest.statistics(), figures);
}

#[test]
fn credit_holds_also_when_nobody_reads_any_more() {
    let mut guest = guest();
    guest.drop_reader(1);
    let full = wire(&[Frame::Data {
        stream: 1,
        bytes: &[0; INITIAL_CREDIT],
    }]);
    assert_eq!(guest.receive(&full).1, Ok(()));
    assert_eq!(guest.statistics().buffered_bytes, 0);
    let more = wire(&[Frame::Data {
        stream: 1,
        bytes: b"x",
    }]);
    assert_eq!(guest.receive(&more).1, Err(ProtocolError::Credit(1)));
}

#[test]
fn a_peer_that_opens_and_never_reads_is_bounded() {
    let mut guest = core(
        Role::Guest,
        Limits {
            streams: 100,
            ..Limits::default()
        },
    );
    let mut opened = 0_u32;
    let error = loop {
        let id = opened * 2 + 1;
        opened += 1;
        let frames = wire(&[
            Frame::Open {
                stream: id,
                target: &[b'1'; 1024],
            },
            Frame::Data {
                stream: id,
                bytes: &[0; INITIAL_CREDIT],
            },
            Frame::Stop { stream: id },
            Frame::Reset {
                stream: id,
                code: 1,
                text: &[b'x'; 256],
            },
        ]);
        if let (_, Err(error)) = guest.receive(&frames) {
            break error;
        }
    };
    assert_eq!(error, ProtocolError::Flood);
    assert_eq!(opened as usize, 100 + MAX_REFUSALS + 1);
    assert_eq!(guest.statistics().buffered_bytes, 0);
    assert!(guest.control.len() <= 100);
}

#[test]
fn a_peer_that_fills_everything_it_was_granted_stays_within_the_bound() {
    let mut guest = core(Role::Guest, Limits::default());
    for index in 0..5000_u32 {
        let id = index * 2 + 1;
        let open = Frame::Open {
            stream: id,
            target: b"1",
        };
        let data = Frame::Data {
            stream: id,
            bytes: &[0; INITIAL_CREDIT],
        };
        assert_eq!(guest.receive(&wire(&[open, data])).1, Ok(()));
    }
    let figures = guest.statistics();
    assert_eq!(figures.streams, 4096);
    assert_eq!(figures.peak_buffered_bytes, 4096 * INITIAL_CREDIT);
}
