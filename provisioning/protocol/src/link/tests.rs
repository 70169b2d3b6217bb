//! Two ends joined by a pipe.

use std::sync::Arc;

use tokio::{io::DuplexStream, sync::Notify};

use super::*;
use crate::{message::Engine, secret::Secret};

fn hello(role: Role, secret: &str) -> Hello {
    Hello {
        role,
        secret: Secret::from_hex(&secret.repeat(32)).unwrap(),
        build: format!("{role:?}-build"),
        carrier: "test".into(),
    }
}

pub(crate) async fn pair() -> (Link, Link) {
    let (host, guest) = tokio::io::duplex(64 * 1024);
    pair_over(host, guest).await
}

async fn pair_over(host: DuplexStream, guest: DuplexStream) -> (Link, Link) {
    let again = Notify::new();
    let (host_hello, guest_hello) = (hello(Role::Host, "aa"), hello(Role::Guest, "aa"));
    let (host, guest) = tokio::join!(
        connect(host, &host_hello, &again),
        accept(guest, &guest_hello)
    );
    let ((host, host_driver), (guest, guest_driver)) = (host.unwrap(), guest.unwrap());
    tokio::spawn(host_driver.run());
    tokio::spawn(guest_driver.run());
    (host, guest)
}

async fn read_all(recv: &mut RecvHalf) -> Result<Vec<u8>, StreamError> {
    let mut all = Vec::new();
    while let Some(bytes) = recv.read().await? {
        all.extend_from_slice(&bytes);
    }
    Ok(all)
}

/// Lets the drivers run until `done`.
async fn until(mut done: impl FnMut() -> bool) {
    let limit = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    while !done() {
        assert!(
            tokio::time::Instant::now() < limit,
            "nothing happens any more"
        );
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn both_ends_open_streams_and_know_each_other() {
    let (host, guest) = pair().await;
    assert_eq!(host.peer().build, "Guest-build");
    assert_eq!(guest.peer().build, "Host-build");
    for (opener, taker) in [(&host, &guest), (&guest, &host)] {
        let target = Target::Engine(Engine::Rootful);
        let (mut recv, mut send) = opener.open(&target).unwrap().into_split();
        send.write_all(b"question").await.unwrap();
        send.finish();
        let incoming = taker.incoming().await.unwrap();
        assert_eq!(incoming.target, target);
        let (mut there, mut back) = incoming.accept().into_split();
        assert_eq!(read_all(&mut there).await.unwrap(), b"question");
        back.write_all(b"answer").await.unwrap();
        back.finish();
        assert_eq!(read_all(&mut recv).await.unwrap(), b"answer");
    }
    until(|| host.statistics().streams == 0 && guest.statistics().streams == 0).await;
}

#[tokio::test]
async fn works_over_a_pipe_of_one_byte() {
    let (host, guest) = tokio::io::duplex(1);
    let (host, guest) = pair_over(host, guest).await;
    let (_recv, mut send) = host.open(&Target::Echo).unwrap().into_split();
    send.write_all(b"slow").await.unwrap();
    send.finish();
    let (mut there, _back) = guest.incoming().await.unwrap().accept().into_split();
    assert_eq!(read_all(&mut there).await.unwrap(), b"slow");
}

#[tokio::test]
async fn half_close_either_side_first_then_a_mebibyte_the_other_way() {
    let (host, guest) = pair().await;
    for opener_first in [true, false] {
        let (recv, send) = host.open(&Target::Echo).unwrap().into_split();
        let (there, back) = guest.incoming().await.unwrap().accept().into_split();
        let ((mut a_recv, mut a_send), (mut b_recv, mut b_send)) = if opener_first {
            ((recv, send), (there, back))
        } else {
            ((there, back), (recv, send))
        };
        a_send.finish();
        assert_eq!(b_recv.read().await, Ok(None));
        let data = vec![7; 1 << 20];
        let (sent, received) = tokio::join!(
            async {
                b_send.write_all(&data).await.unwrap();
                b_send.finish();
            },
            read_all(&mut a_recv)
        );
        let () = sent;
        assert_eq!(received.unwrap(), data);
    }
    until(|| host.statistics().streams == 0 && guest.statistics().streams == 0).await;
}

#[tokio::test]
async fn death_is_a_reset_and_never_a_clean_end() {
    let (host, guest) = pair().await;
    let (recv, mut send) = host.open(&Target::Discard).unwrap().into_split();
    send.write_all(b"half of it").await.unwrap();
    let (mut there, back) = guest.incoming().await.unwrap().accept().into_split();
    assert_eq!(there.read().await.unwrap().unwrap(), "half of it");
    drop(send);
    assert_eq!(
        there.read().await,
        Err(StreamError::Reset(ResetCode::Cancelled))
    );
    drop((recv, there, back));
    until(|| host.statistics().streams == 0 && guest.statistics().streams == 0).await;
}

#[tokio::test]
async fn a_refusal_carries_its_code_and_text() {
    let (host, guest) = pair().await;
    let (mut recv, mut send) = host
        .open(&Target::Engine(Engine::Rootful))
        .unwrap()
        .into_split();
    guest
        .incoming()
        .await
        .unwrap()
        .refuse_with(ResetCode::Unreachable, "No socket");
    assert_eq!(
        recv.read().await,
        Err(StreamError::Reset(ResetCode::Unreachable))
    );
    assert_eq!(recv.reset_text().as_deref(), Some("No socket"));
    send.stopped().await;
    assert!(matches!(send.reserve().await, Err(StreamError::Stopped)));
    drop((recv, send));
    until(|| host.statistics().streams == 0 && guest.statistics().streams == 0).await;
}

#[tokio::test]
async fn the_end_of_the_link_reaches_every_half() {
    let (host, guest) = pair().await;
    let (mut recv, mut send) = host.open(&Target::Echo).unwrap().into_split();
    let (mut there, mut back) = guest.incoming().await.unwrap().accept().into_split();
    guest.close();
    assert_eq!(recv.read().await, Err(StreamError::LinkLost));
    send.stopped().await;
    assert!(matches!(send.reserve().await, Err(StreamError::LinkLost)));
    assert_eq!(there.read().await, Err(StreamError::LinkLost));
    assert!(matches!(back.reserve().await, Err(StreamError::LinkLost)));
    host.ended().await;
    assert!(host.incoming().await.is_none());
    assert!(matches!(host.open(&Target::Echo), Err(LinkError::Lost)));
    drop((recv, send, there, back));
    assert_eq!(host.statistics().streams, 0);
    assert_eq!(guest.statistics().streams, 0);
}

#[tokio::test]
async fn reasons_of_the_end_are_told() {
    let (host, guest) = tokio::io::duplex(64 * 1024);
    let again = Notify::new();
    let (host_hello, guest_hello) = (hello(Role::Host, "aa"), hello(Role::Guest, "aa"));
    let (host, guest) = tokio::join!(
        connect(host, &host_hello, &again),
        accept(guest, &guest_hello)
    );
    let ((host, host_driver), (_guest, guest_driver)) = (host.unwrap(), guest.unwrap());
    host.close_with("Going home");
    let (host_end, guest_end) = tokio::join!(host_driver.run(), guest_driver.run());
    assert!(matches!(host_end, LinkError::Closed));
    assert!(matches!(guest_end, LinkError::ClosedByPeer(reason) if reason == "Going home"));
}

#[tokio::test]
async fn a_dropped_driver_ends_the_link() {
    let (host, guest) = tokio::io::duplex(1024);
    let again = Notify::new();
    let (host_hello, guest_hello) = (hello(Role::Host, "aa"), hello(Role::Guest, "aa"));
    let (host, _guest) = tokio::join!(
        connect(host, &host_hello, &again),
        accept(guest, &guest_hello)
    );
    let (link, driver) = host.unwrap();
    let (mut recv, _send) = link.open(&Target::Echo).unwrap().into_split();
    drop(driver);
    assert_eq!(recv.read().await, Err(StreamError::LinkLost));
}

#[tokio::test]
async fn another_secret_is_told_from_silence() {
    let (host, guest) = tokio::io::duplex(64 * 1024);
    let (host_hello, guest_hello) = (hello(Role::Host, "aa"), hello(Role::Guest, "bb"));
    let again = Notify::new();
    let host = async move { connect(host, &host_hello, &again).await.map(|_| ()) };
    let (host, guest) = tokio::join!(host, accept(guest, &guest_hello));
    let Err(error @ LinkError::Rejected(_)) = host else {
        panic!("{host:?}")
    };
    assert_eq!(
        error.to_string(),
        "The agent `Guest-build` in the guest has another secret than this machine"
    );
    assert!(matches!(guest, Err(LinkError::Eof | LinkError::Io(_))));
}

#[tokio::test]
async fn a_new_host_breaks_into_an_old_session() {
    let (old_host, guest) = tokio::io::duplex(256 * 1024);
    let again = Notify::new();
    let (host_hello, guest_hello) = (hello(Role::Host, "aa"), hello(Role::Guest, "aa"));
    let (old, guest) = tokio::join!(
        connect(old_host, &host_hello, &again),
        accept(guest, &guest_hello)
    );
    let ((old, old_driver), (guest_link, guest_driver)) = (old.unwrap(), guest.unwrap());
    // The old host is in the middle of a frame when it goes; its carrier is used by the new one.
    let (_recv, mut send) = old.open(&Target::Discard).unwrap().into_split();
    send.write_all(&[1; 4000]).await.unwrap();
    let mut wire = old_driver.into_stream();
    tokio::io::AsyncWriteExt::write_all(&mut wire, &[2, 0, 0, 16, 1, 0, 0, 0, 9, 9])
        .await
        .unwrap();
    let new = tokio::spawn(async move {
        connect(wire, &host_hello, &again)
            .await
            .map(|(link, driver)| {
                tokio::spawn(driver.run());
                link
            })
    });
    let end = guest_driver.run_to_end().await;
    assert!(
        matches!(end.error, LinkError::Protocol(_)),
        "{:?}",
        end.error
    );
    assert!(guest_link.incoming().await.is_none());
    let (guest, driver) = accept_with(end.stream, end.leftover, &guest_hello)
        .await
        .unwrap();
    tokio::spawn(driver.run());
    let new = new.await.unwrap().unwrap();
    let (_recv, mut send) = new.open(&Target::Echo).unwrap().into_split();
    send.write_all(b"new").await.unwrap();
    send.finish();
    let (mut there, _back) = guest.incoming().await.unwrap().accept().into_split();
    assert_eq!(read_all(&mut there).await.unwrap(), b"new");
}

#[tokio::test]
async fn two_thousand_streams_with_fifty_stalled_readers() {
    let (host, guest) = pair().await;
    let server = guest.clone();
    tokio::spawn(async move {
        let mut stalled = Vec::new();
        while let Some(incoming) = server.incoming().await {
            let target = incoming.target.clone();
            let (mut recv, mut send) = incoming.accept().into_split();
            if target == Target::Discard {
                stalled.push((recv, send));
                continue;
            }
            tokio::spawn(async move {
                let length = read_all(&mut recv).await.unwrap().len();
                send.write_all(&length.to_le_bytes()).await.unwrap();
                send.finish();
            });
        }
    });
    let mut stalled = Vec::new();
    for _ in 0..50 {
        let (recv, mut send) = host.open(&Target::Discard).unwrap().into_split();
        stalled.push(tokio::spawn(async move {
            // One byte at a time, against a reader that never reads.
            loop {
                if send.write_all(b"x").await.is_err() {
                    break recv;
                }
            }
        }));
    }
    let flowing: Vec<_> = (0..1950)
        .map(|_| {
            let (mut recv, mut send) = host.open(&Target::Echo).unwrap().into_split();
            tokio::spawn(async move {
                send.write_all(&vec![5; 50_000]).await.unwrap();
                send.finish();
                read_all(&mut recv).await.unwrap()
            })
        })
        .collect();
    for flow in flowing {
        assert_eq!(flow.await.unwrap(), 50_000_usize.to_le_bytes());
    }
    for link in [&host, &guest] {
        let figures = link.statistics();
        assert!(figures.peak_buffered_bytes <= 64 << 20, "{figures:?}");
        assert!(figures.queued_bytes <= 256 << 10, "{figures:?}");
    }
    // The stalled ones hold what was granted at first, and not a byte more.
    until(|| guest.statistics().buffered_bytes == 50 * crate::mux::INITIAL_CREDIT).await;
    assert_eq!(host.statistics().streams, 50);
    for task in &stalled {
        task.abort();
    }
    drop(stalled);
    // Their readers still have them; at the host nothing is left.
    until(|| host.statistics().streams == 0 && guest.statistics().streams == 50).await;
    assert_eq!(guest.statistics().buffered_bytes, 0);
}

#[tokio::test]
async fn thousands_of_streams_opened_and_dropped() {
    let (host, guest) = pair().await;
    let server = guest.clone();
    tokio::spawn(async move { while server.incoming().await.is_some() {} });
    for _ in 0..20_000 {
        while host.statistics().streams > 1000 {
            tokio::task::yield_now().await;
        }
        drop(host.open(&Target::Echo).unwrap());
    }
    until(|| host.statistics().streams == 0 && guest.statistics().streams == 0).await;
    let (mut recv, _send) = host.open(&Target::Echo).unwrap().into_split();
    assert!(recv.read().await.is_err(), "the server refuses");
}

#[tokio::test]
async fn a_cancelled_reserve_leaves_the_queue() {
    let (host, guest) = pair().await;
    let (_recv, mut first) = host.open(&Target::Discard).unwrap().into_split();
    let _there = guest.incoming().await.unwrap().accept();
    while first.write_all(b"fill").now_or_never().is_some() {}
    let (_recv, mut second) = host.open(&Target::Discard).unwrap().into_split();
    second.write_all(b"passes").await.unwrap();
}

trait NowOrNever: Future + Sized {
    fn now_or_never(self) -> Option<Self::Output> {
        let mut future = Box::pin(self);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        }
    }
}

impl<F: Future> NowOrNever for F {}

#[test]
fn everything_can_move_between_threads() {
    fn sent<T: Send>(_: &T) {}
    fn shared<T: Send + Sync>() {}
    shared::<Link>();
    shared::<RecvHalf>();
    shared::<SendHalf>();
    let again = Arc::new(Notify::new());
    let hello = hello(Role::Host, "aa");
    let (stream, _) = tokio::io::duplex(1);
    sent(&async {
        let (link, driver) = connect(stream, &hello, &again).await?;
        let (_recv, mut send) = link.open(&Target::Echo)?.into_split();
        send.write_all(b"x").await.map_err(|_| LinkError::Lost)?;
        link.incoming().await;
        Err::<(), _>(driver.run().await)
    });
}
