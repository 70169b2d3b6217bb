//! Real sockets at both ends of a link: client - relay - link - relay - server.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UnixStream},
    task::JoinHandle,
    time::timeout,
};

use super::*;
use crate::{
    link::{Link, tests::pair},
    message::Target,
};

struct Path {
    host: Link,
    guest: Link,
    client: UnixStream,
    server: UnixStream,
    relays: [JoinHandle<Result<Relayed, RelayError>>; 2],
}

async fn path() -> Path {
    let (host, guest) = pair().await;
    let (client, near) = UnixStream::pair().unwrap();
    let (far, server) = UnixStream::pair().unwrap();
    let stream = host.open(&Target::Echo).unwrap();
    let there = guest.incoming().await.unwrap().accept();
    let relays = [
        tokio::spawn(relay_unix(near, stream)),
        tokio::spawn(relay_unix(far, there)),
    ];
    Path {
        host,
        guest,
        client,
        server,
        relays,
    }
}

/// Nothing here may take longer.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), future)
        .await
        .expect("it hangs")
}

async fn freed(path: Path) -> [Result<Relayed, RelayError>; 2] {
    let [near, far] = path.relays;
    let results = soon(async { [near.await.unwrap(), far.await.unwrap()] }).await;
    soon(async {
        while path.host.statistics().streams + path.guest.statistics().streams > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    results
}

#[tokio::test]
async fn half_close_then_a_long_answer() {
    let mut path = path().await;
    path.client.write_all(b"question").await.unwrap();
    path.client.shutdown().await.unwrap();
    let mut question = String::new();
    soon(path.server.read_to_string(&mut question))
        .await
        .unwrap();
    assert_eq!(question, "question");
    let answer: Vec<u8> = (0..1_u32 << 20).map(|n| n.to_le_bytes()[1]).collect();
    let mut seen = Vec::new();
    let (client, server) = (&mut path.client, &mut path.server);
    soon(async {
        let send = async {
            server.write_all(&answer).await.unwrap();
            server.shutdown().await.unwrap();
        };
        tokio::join!(send, async { client.read_to_end(&mut seen).await.unwrap() })
    })
    .await;
    assert!(seen == answer);
    let [near, far] = freed(path).await;
    assert_eq!(
        near.unwrap(),
        Relayed {
            sent: 8,
            received: 1 << 20
        }
    );
    assert_eq!(
        far.unwrap(),
        Relayed {
            sent: 1 << 20,
            received: 8
        }
    );
}

#[tokio::test]
async fn the_server_may_end_first() {
    let mut path = path().await;
    path.server.shutdown().await.unwrap();
    assert_eq!(
        soon(path.client.read_u8()).await.unwrap_err().kind(),
        io::ErrorKind::UnexpectedEof
    );
    path.client.write_all(b"still here").await.unwrap();
    path.client.shutdown().await.unwrap();
    let mut text = String::new();
    soon(path.server.read_to_string(&mut text)).await.unwrap();
    assert_eq!(text, "still here");
    for result in freed(path).await {
        result.unwrap();
    }
}

#[tokio::test]
async fn a_client_that_closes_leaves_nothing_of_what_it_sent_behind() {
    let mut path = path().await;
    path.client.write_all(&vec![1; 100_000]).await.unwrap();
    let Path { client, .. } = path;
    drop(client);
    let mut seen = Vec::new();
    soon(path.server.read_to_end(&mut seen)).await.unwrap();
    assert_eq!(seen.len(), 100_000);
    // It is told as a local socket would tell it.
    let error = soon(async {
        loop {
            if let Err(error) = path.server.write_all(b"anybody?").await {
                break error;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    drop(path.server);
    let [near, far] = path.relays;
    soon(near).await.unwrap().unwrap();
    soon(far).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_attach_to_a_silent_server_is_freed_when_the_client_dies() {
    let mut path = path().await;
    path.client.shutdown().await.unwrap();
    assert_eq!(soon(path.server.read(&mut [0; 8])).await.unwrap(), 0);
    // Half-closed and waiting: nothing must end by itself.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(path.host.statistics().streams, 1);
    drop(path.client);
    // The near relay ends without a word of the server, and the far one stops reading it.
    let [near, far] = path.relays;
    soon(near).await.unwrap().unwrap();
    soon(far).await.unwrap().unwrap();
    soon(async {
        while path.host.statistics().streams + path.guest.statistics().streams > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(path.server.write_all(b"late").await.is_err());
}

#[tokio::test]
async fn a_dead_client_frees_a_server_that_is_blocked_in_writing() {
    let mut path = path().await;
    path.client.shutdown().await.unwrap();
    let mut server = path.server;
    let writer = tokio::spawn(async move {
        loop {
            if let Err(error) = server.write_all(&[9; 4096]).await {
                break error.kind();
            }
        }
    });
    // Wait until the link is full of it.
    soon(async {
        while path.host.statistics().buffered_bytes == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    drop(path.client);
    assert_eq!(soon(writer).await.unwrap(), io::ErrorKind::BrokenPipe);
    for relay in path.relays {
        soon(relay).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn the_end_of_the_link_is_no_clean_end() {
    let mut path = path().await;
    // Unread bytes make the close of a unix socket a reset.
    path.server.write_all(b"x").await.unwrap();
    assert_eq!(soon(path.client.read_u8()).await.unwrap(), b'x');
    path.guest.close();
    let [near, far] = path.relays;
    for relay in [near, far] {
        let result = soon(relay).await.unwrap();
        assert!(
            matches!(result, Err(RelayError::Stream(StreamError::LinkLost))),
            "{result:?}"
        );
    }
    assert_eq!(soon(path.client.read(&mut [0; 8])).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn a_reset_aborts_a_tcp_connection() {
    let (host, guest) = pair().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (client, near) = tokio::join!(
        TcpStream::connect(listener.local_addr().unwrap()),
        listener.accept()
    );
    let (mut client, (near, _)) = (client.unwrap(), near.unwrap());
    let relay = tokio::spawn(relay_tcp(near, host.open(&Target::Echo).unwrap()));
    client.write_all(b"over tcp").await.unwrap();
    let (mut recv, mut send) = guest.incoming().await.unwrap().accept().into_split();
    assert_eq!(soon(recv.read()).await.unwrap().unwrap(), "over tcp");
    send.reset(ResetCode::LocalError);
    let error = soon(client.read(&mut [0; 8])).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert!(matches!(
        soon(relay).await.unwrap(),
        Err(RelayError::Stream(_))
    ));
}

#[tokio::test]
async fn waiting_for_a_hang_up_does_not_spin() {
    let (client, near) = UnixStream::pair().unwrap();
    let mut watch = pin!(near.hung_up());
    let mut polls = 0;
    let waited = timeout(
        Duration::from_millis(200),
        poll_fn(|cx| {
            polls += 1;
            watch.as_mut().poll(cx)
        }),
    );
    assert!(waited.await.is_err(), "nobody hung up");
    assert!(polls < 10, "{polls} polls");
    drop(client);
    soon(watch).await;
}

#[tokio::test]
async fn sixty_four_mebibytes_go_round() {
    let mut path = path().await;
    let (mut reader, mut writer) = path.server.split();
    let total = 64_u64 << 20;
    let server = async { tokio::io::copy(&mut reader, &mut writer).await.map(|_| ()) };
    let (mut from, mut to) = path.client.split();
    let client = async {
        let chunk = vec![3; 100_000];
        let send = async {
            let mut left = total;
            while left > 0 {
                let part = chunk.len().min(usize::try_from(left).unwrap());
                to.write_all(&chunk[..part]).await.unwrap();
                left -= part as u64;
            }
            to.shutdown().await.unwrap();
        };
        let receive = async {
            let mut buffer = vec![0; 65536];
            let mut seen = 0;
            while seen < total {
                let count = from.read(&mut buffer).await.unwrap();
                assert!(buffer[..count].iter().all(|byte| *byte == 3));
                assert!(count > 0, "ended after {seen}");
                seen += count as u64;
            }
        };
        tokio::join!(send, receive);
    };
    soon(async { tokio::join!(client, async { server.await.unwrap() }) }).await;
    let figures = path.host.statistics();
    assert!(figures.peak_buffered_bytes <= 256 * 1024, "{figures:?}");
}
