//! What each end sees of the other: the table of `docs/protocol.md`, section 4, and the bounds.

use super::*;

#[test]
fn bytes_then_a_clean_end_in_both_directions() {
    let mut pair = Pair::new(Limits::default());
    let id = pair.open();
    assert_eq!(send(&mut pair.host, id, b"there"), 5);
    pair.host.finish(id);
    pair.settle();
    assert_eq!(
        read(&mut pair.guest, id),
        (b"there".to_vec(), Poll::Ready(Ok(())))
    );
    assert_eq!(send(&mut pair.guest, id, b"back"), 4);
    pair.guest.finish(id);
    pair.settle();
    assert_eq!(
        read(&mut pair.host, id),
        (b"back".to_vec(), Poll::Ready(Ok(())))
    );
    drop_both(&mut pair.host, id);
    drop_both(&mut pair.guest, id);
    pair.assert_empty();
}

#[test]
fn a_writer_that_has_finished_may_be_dropped_before_its_bytes_are_out() {
    let mut pair = Pair::new(Limits::default());
    let id = pair.open();
    send(&mut pair.host, id, b"last words");
    pair.host.finish(id);
    pair.host.drop_writer(id);
    pair.settle();
    assert_eq!(
        read(&mut pair.guest, id),
        (b"last words".to_vec(), Poll::Ready(Ok(())))
    );
}

#[test]
fn a_writer_that_goes_is_a_reset_and_its_bytes_are_dropped() {
    let mut pair = Pair::new(Limits::default());
    let id = pair.open();
    send(&mut pair.host, id, &[1; 5000]);
    pair.settle();
    pair.host.drop_writer(id);
    pair.settle();
    let reset = StreamError::Reset(ResetCode::Cancelled);
    assert_eq!(
        read(&mut pair.guest, id),
        (Vec::new(), Poll::Ready(Err(reset)))
    );
    assert_eq!(pair.guest.statistics().buffered_bytes, 0);
}

#[test]
fn a_reader_that_goes_stops_the_writer() {
    let mut pair = Pair::new(Limits::default());
    let id = pair.open();
    assert_eq!(pair.host.poll_stopped(id, &cx()), Poll::Pending);
    send(&mut pair.host, id, &[1; 5000]);
    pair.guest.drop_reader(id);
    pair.settle();
    assert_eq!(pair.host.poll_stopped(id, &cx()), Poll::Ready(()));
    assert_eq!(
        pair.host.poll_reserve(id, &cx()),
        Poll::Ready(Err(StreamError::Stopped))
    );
    assert_eq!(pair.host.statistics().queued_bytes, 0);
    pair.guest.drop_writer(id);
    drop_both(&mut pair.host, id);
    pair.assert_empty();
}

#[test]
fn a_stop_after_the_end_takes_nothing_of_what_came_before() {
    let mut pair = Pair::new(Limits::default());
    let id = pair.open();
    send(&mut pair.host, id, b"all of it");
    pair.host.finish(id);
    drop_both(&mut pair.host, id);
    pair.settle();
    assert_eq!(
        read(&mut pair.guest, id),
        (b"all of it".to_vec(), Poll::Ready(Ok(())))
    );
    assert_eq!(pair.guest.poll_stopped(id, &cx()), Poll::Ready(()));
    drop_both(&mut pair.guest, id);
    pair.assert_empty();
}

#[test]
fn a_stalled_reader_holds_up_only_its_stream() {
    let mut pair = Pair::new(Limits::default());
    let (stalled, flowing) = (pair.open(), pair.open());
    assert_eq!(
        send(&mut pair.host, stalled, &vec![1; 100_000]),
        INITIAL_CREDIT
    );
    let mut seen = 0;
    while seen < 10_000_000 {
        seen += send(&mut pair.host, flowing, &vec![2; 100_000]);
        pair.settle();
        let (bytes, state) = read(&mut pair.guest, flowing);
        assert_eq!(state, Poll::Pending);
        assert!(bytes.iter().all(|byte| *byte == 2));
    }
    assert_eq!(pair.guest.statistics().buffered_bytes, INITIAL_CREDIT);
}

#[test]
fn bytes_in_hand_count_until_the_next_read() {
    let mut pair = Pair::new(Limits::default());
    let id = pair.open();
    send(&mut pair.host, id, &[1; INITIAL_CREDIT]);
    pair.settle();
    let Poll::Ready(Ok(Some(chunk))) = pair.guest.poll_read(id, &cx()) else {
        panic!()
    };
    assert_eq!(chunk.len(), INITIAL_CREDIT);
    pair.settle();
    assert_eq!(pair.guest.statistics().buffered_bytes, INITIAL_CREDIT);
    assert_eq!(
        send(&mut pair.host, id, b"x"),
        0,
        "no credit before they were passed on"
    );
    assert_eq!(pair.guest.poll_read(id, &cx()), Poll::Pending);
    assert_eq!(pair.guest.statistics().buffered_bytes, 0);
    pair.settle();
    assert_eq!(send(&mut pair.host, id, b"x"), 1);
}

#[test]
fn small_pieces_do_not_cost_more_than_they_are() {
    let mut pair = Pair::new(Limits::default());
    let ids: Vec<_> = (0..2000).map(|_| pair.open()).collect();
    for _ in 0..INITIAL_CREDIT / 64 {
        for id in &ids[..50] {
            for _ in 0..64 {
                assert_eq!(send(&mut pair.host, *id, b"x"), 1);
                // Each alone in its frame.
                let bytes = transmit(&mut pair.host);
                assert_eq!(pair.guest.receive(&bytes).1, Ok(()));
            }
        }
        pair.settle();
    }
    let figures = pair.guest.statistics();
    assert_eq!(figures.buffered_bytes, 50 * INITIAL_CREDIT);
    assert!(figures.granted_bytes <= 64 << 20);
    let memory: usize = pair
        .guest
        .streams
        .values()
        .map(|stream| stream.inbound.memory())
        .sum();
    assert!(memory <= 2 * figures.buffered_bytes, "{memory}");
}

#[test]
fn bytes_in_flight_are_bounded_and_control_goes_first() {
    let mut pair = Pair::new(Limits::default());
    let ids: Vec<_> = (0..100).map(|_| pair.open()).collect();
    let mut wire = 0;
    for _ in 0..20 {
        for id in &ids {
            send(&mut pair.host, *id, &[1; 8192]);
        }
        wire += transmit(&mut pair.host).len();
    }
    assert!(
        wire <= 128 * 1024 && wire > 100 * 1024,
        "{wire} bytes without an acknowledgement"
    );
    pair.host.drop_reader(ids[7]);
    let control = transmit(&mut pair.host);
    assert_eq!(control, super::wire(&[Frame::Stop { stream: ids[7] }]));
}

#[test]
fn streams_take_turns() {
    let limits = Limits {
        in_flight: 1 << 20,
        ..Limits::default()
    };
    let mut host = core(Role::Host, limits);
    let ids: Vec<_> = (0..3)
        .map(|_| host.open(Bytes::from_static(b"1")).unwrap())
        .collect();
    for id in &ids {
        let grant = Frame::Credit {
            stream: *id,
            bytes: 1 << 20,
        };
        assert_eq!(host.receive(&wire(&[grant])).1, Ok(()));
        assert_eq!(
            send(&mut host, *id, &vec![1; 3 * DATA_PAYLOAD]),
            3 * DATA_PAYLOAD
        );
    }
    let bytes = transmit(&mut host);
    let mut order = Vec::new();
    let mut rest = bytes.as_slice();
    while let Some((frame, length)) = crate::frame::decode(rest, TAG).unwrap() {
        if let Frame::Data { stream, .. } = frame {
            order.push(stream);
        }
        rest = &rest[length..];
    }
    assert_eq!(order, [1, 3, 5, 1, 3, 5, 1, 3, 5]);
}

#[test]
fn the_outbound_budget_goes_round() {
    let mut pair = Pair::new(Limits {
        outbound: 20_000,
        ..Limits::default()
    });
    let ids: Vec<_> = (0..5).map(|_| pair.open()).collect();
    // Two shares of 8 KiB fit, the others wait in their order.
    let shares: Vec<_> = ids
        .iter()
        .map(|id| pair.host.poll_reserve(*id, &cx()))
        .collect();
    assert_eq!(shares[..2], [Poll::Ready(Ok(8192)), Poll::Ready(Ok(8192))]);
    assert_eq!(shares[2..], [Poll::Pending, Poll::Pending, Poll::Pending]);
    pair.host.unreserve(ids[0], 8192);
    assert_eq!(
        pair.host.poll_reserve(ids[0], &cx()),
        Poll::Pending,
        "others were first"
    );
    assert_eq!(pair.host.poll_reserve(ids[3], &cx()), Poll::Pending);
    pair.host.cancel_reserve(ids[2]);
    assert_eq!(pair.host.poll_reserve(ids[3], &cx()), Poll::Ready(Ok(8192)));
    // A stream that dies gives everything back.
    pair.host.reset(ids[1], ResetCode::Cancelled, "");
    assert_eq!(pair.host.poll_reserve(ids[4], &cx()), Poll::Ready(Ok(8192)));
}

#[test]
fn the_last_id_ends_the_link_in_good_order() {
    let mut host = core(Role::Host, Limits::default());
    host.next_local = u32::MAX - 2;
    assert_eq!(host.open(Bytes::from_static(b"1")), Ok(u32::MAX - 2));
    assert_eq!(
        host.open(Bytes::from_static(b"1")),
        Err(OpenError::IdsExhausted)
    );
    let bytes = transmit(&mut host);
    let close = wire(&[Frame::Close {
        reason: b"No stream ids are left",
    }]);
    assert!(bytes.ends_with(&close));
}

#[test]
fn streams_beyond_the_limit_are_refused_and_the_link_lives() {
    let mut pair = Pair::new(Limits {
        streams: 4,
        ..Limits::default()
    });
    let ids: Vec<_> = (0..4).map(|_| pair.open()).collect();
    assert_eq!(
        pair.host.open(Bytes::from_static(b"1")),
        Err(OpenError::TooMany)
    );
    // The host forgets one that the guest still has.
    pair.host.finish(ids[0]);
    pair.guest.finish(ids[0]);
    pair.settle();
    drop_both(&mut pair.host, ids[0]);
    let refused = pair.host.open(Bytes::from_static(b"1")).unwrap();
    send(&mut pair.host, refused, &[1; 5000]);
    pair.settle();
    let reset = StreamError::Reset(ResetCode::TooManyStreams);
    assert_eq!(read(&mut pair.host, refused).1, Poll::Ready(Err(reset)));
    assert_eq!(pair.host.poll_stopped(refused, &cx()), Poll::Ready(()));
    drop_both(&mut pair.host, refused);
    drop_both(&mut pair.guest, ids[0]);
    pair.open();
}

#[test]
fn the_end_of_the_link_is_lost_unless_the_end_of_the_stream_has_come() {
    let mut pair = Pair::new(Limits::default());
    let (done, half) = (pair.open(), pair.open());
    send(&mut pair.host, done, b"whole");
    pair.host.finish(done);
    send(&mut pair.host, half, b"half of it");
    pair.settle();
    pair.guest.end();
    assert_eq!(
        read(&mut pair.guest, done),
        (b"whole".to_vec(), Poll::Ready(Ok(())))
    );
    assert_eq!(
        read(&mut pair.guest, half).1,
        Poll::Ready(Err(StreamError::LinkLost))
    );
    for id in [done, half] {
        assert_eq!(
            pair.guest.poll_reserve(id, &cx()),
            Poll::Ready(Err(StreamError::LinkLost))
        );
        drop_both(&mut pair.guest, id);
    }
    assert_eq!(pair.guest.statistics().streams, 0);
    assert_eq!(pair.guest.statistics().buffered_bytes, 0);
}
