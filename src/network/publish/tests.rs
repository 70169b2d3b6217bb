//! A publisher with a guest of the test's own at the other end of a link.

use std::net::SocketAddr;
use std::time::Duration;

use machine_protocol::publish::datagram::{Datagrams, framed};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Notify, mpsc};

use super::*;
use crate::network::testing::linked;

const LIMIT: Duration = Duration::from_secs(30);

#[derive(Debug)]
struct Somebody;

#[async_trait]
impl Neighbours for Somebody {
    async fn holder(&self, port: &Port) -> Option<String> {
        Some(format!("machine `other` with {port}"))
    }
}

/// Says who has a port when it is told to.
#[derive(Debug, Default)]
struct Hesitant {
    asked: Notify,
    may_say: Notify,
}

#[async_trait]
impl Neighbours for Hesitant {
    async fn holder(&self, _port: &Port) -> Option<String> {
        self.asked.notify_one();
        self.may_say.notified().await;
        None
    }
}

struct Bench {
    publisher: Arc<Publisher>,
    guest: Link,
    news: mpsc::UnboundedReceiver<PortNews>,
    number: u64,
}

impl Bench {
    /// The guest echoes what comes to its ports.
    async fn new(scope: Scope) -> Self {
        Self::beside(scope, Arc::new(Somebody)).await
    }

    async fn beside(scope: Scope, neighbours: Arc<dyn Neighbours>) -> Self {
        let (host, guest) = linked().await;
        let (told, news) = mpsc::unbounded_channel();
        let (_, link) = watch::channel(Some(host.clone()));
        let config = PublishConfig { scope, neighbours };
        let publisher = Publisher::new(config, link, move |news| {
            let _ = told.send(news);
        });
        let publisher = Arc::new(publisher);
        let answering = Arc::clone(&publisher);
        tokio::spawn(async move {
            while let Some(incoming) = host.incoming().await {
                assert_eq!(incoming.target, Target::Publish);
                let answering = Arc::clone(&answering);
                tokio::spawn(async move { answering.answer(incoming).await });
            }
        });
        let served = guest.clone();
        tokio::spawn(async move {
            while let Some(incoming) = served.incoming().await {
                let Target::Port { port, protocol } = incoming.target else {
                    panic!("another target");
                };
                if protocol == Protocol::Udp {
                    tokio::spawn(backwards(incoming));
                    continue;
                }
                tokio::spawn(async move {
                    let (mut from, mut to) = incoming.accept().into_split();
                    to.write_all(format!("{port}:").as_bytes()).await.unwrap();
                    while let Ok(Some(bytes)) = from.read().await {
                        to.write_all(&bytes).await.unwrap();
                    }
                    to.finish();
                });
            }
        });
        Self {
            publisher,
            guest,
            news,
            number: 0,
        }
    }

    async fn asks(&mut self, wanted: Wanted) -> PublishReply {
        self.number += 1;
        let request = PublishRequest {
            boot: "boot".to_owned(),
            number: self.number,
            wanted,
        };
        let line = message::to_line(&request).unwrap();
        serde_json::from_slice(&self.says(&line).await).unwrap()
    }

    async fn says(&self, bytes: &[u8]) -> Vec<u8> {
        let (mut from, mut to) = self.guest.open(&Target::Publish).unwrap().into_split();
        let said = async {
            if to.write_all(bytes).await.is_ok() {
                to.finish();
            }
        };
        let heard = async {
            let mut heard = Vec::new();
            while let Ok(Some(bytes)) = from.read().await {
                heard.extend_from_slice(&bytes);
            }
            heard
        };
        soon(async { tokio::join!(said, heard) }).await.1
    }

    fn told(&mut self) -> Vec<PortNews> {
        std::iter::from_fn(|| self.news.try_recv().ok()).collect()
    }
}

/// Sends each datagram back, backwards.
async fn backwards(incoming: Incoming) {
    let (mut from, mut to) = incoming.accept().into_split();
    let mut datagrams = Datagrams::default();
    while let Ok(Some(bytes)) = from.read().await {
        datagrams.push(&bytes);
        while let Some(datagram) = datagrams.next_datagram() {
            let turned: Vec<u8> = datagram.iter().rev().copied().collect();
            to.write_all(&framed(&turned).unwrap()).await.unwrap();
        }
    }
    to.finish();
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, what)
        .await
        .expect("it takes too long")
}

fn free() -> u16 {
    let probe = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    probe.local_addr().unwrap().port()
}

fn port(address: &str, number: u16) -> Port {
    Port {
        protocol: Protocol::Tcp,
        address: address.parse().unwrap(),
        port: number,
        guest_port: 80,
    }
}

fn open(port: Port) -> OpenPort {
    let owner = Owner::Container;
    OpenPort { owner, port }
}

async fn answers(address: &str, number: u16) -> Option<String> {
    let address = SocketAddr::new(address.parse().unwrap(), number);
    let mut client = TcpStream::connect(address).await.ok()?;
    client.write_all(b"hi").await.unwrap();
    client.shutdown().await.unwrap();
    let mut answer = String::new();
    soon(client.read_to_string(&mut answer)).await.unwrap();
    Some(answer)
}

fn has_ipv6() -> bool {
    std::net::TcpListener::bind("[::1]:0").is_ok()
}

#[tokio::test]
async fn a_port_is_open_when_the_answer_comes_and_closed_when_the_next_does() {
    let mut bench = Bench::new(Scope::All).await;
    let number = free();
    let wanted = port("0.0.0.0", number);
    for _ in 0..2 {
        let reply = bench.asks(Wanted::Expose(wanted)).await;
        assert_eq!(reply, PublishReply::Done);
        assert_eq!(answers("127.0.0.1", number).await.unwrap(), "80:hi");
    }
    if has_ipv6() {
        assert_eq!(answers("::1", number).await.unwrap(), "80:hi");
    }
    assert_eq!(bench.told(), [PortNews::Opened(open(wanted))], "once");
    assert_eq!(bench.publisher.list().await, [open(wanted)]);

    // Again and again: a port that was closed can be had at once.
    for _ in 0..20 {
        let reply = bench.asks(Wanted::Unexpose(wanted)).await;
        assert_eq!(reply, PublishReply::Done);
        assert_eq!(answers("127.0.0.1", number).await, None);
        let reply = bench.asks(Wanted::Expose(wanted)).await;
        assert_eq!(reply, PublishReply::Done);
    }
    bench.publisher.close().await;
    assert_eq!(answers("127.0.0.1", number).await, None);
    assert_eq!(bench.told().last(), Some(&PortNews::Closed(open(wanted))));
    let reply = bench.asks(Wanted::Expose(wanted)).await;
    let reason = "the machine is stopping".to_owned();
    assert_eq!(reply, PublishReply::Failed { reason });
}

#[tokio::test]
async fn a_sync_closes_what_is_gone_and_opens_what_is_missing() {
    let mut bench = Bench::new(Scope::All).await;
    let (one, two) = (free(), free());
    let kept = port("127.0.0.1", one);
    bench.asks(Wanted::Expose(kept)).await;
    let gone = port("127.0.0.1", two);
    bench.asks(Wanted::Expose(gone)).await;
    bench.told();
    let holder = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = port("127.0.0.1", holder.local_addr().unwrap().port());
    let reply = bench.asks(Wanted::Sync(vec![kept, taken])).await;
    assert_eq!(reply, PublishReply::Synced { missing: 1 });
    let told = bench.told();
    assert_eq!(told[0], PortNews::Closed(open(gone)));
    let PortNews::Missing(MissingPort {
        port: missing,
        reason,
    }) = &told[1]
    else {
        panic!("{told:?}");
    };
    assert_eq!(*missing, taken);
    assert!(
        reason.contains("address already in use by machine `other`"),
        "{reason}"
    );
    drop(holder);
    let reply = bench.asks(Wanted::Sync(vec![kept, taken])).await;
    assert_eq!(reply, PublishReply::Synced { missing: 0 });
    assert_eq!(bench.told(), [PortNews::Opened(open(taken))]);
    // What the guest wants is nothing to what the configuration wants.
    let own = port("127.0.0.1", two);
    bench.publisher.configure(&[own]).await;
    let reply = bench.asks(Wanted::Sync(Vec::new())).await;
    assert_eq!(reply, PublishReply::Synced { missing: 0 });
    let list = bench.publisher.list().await;
    assert_eq!(list.len(), 1);
    assert_eq!((list[0].owner, list[0].port), (Owner::Configured, own));
    let PublishReply::Failed { reason } = bench.asks(Wanted::Expose(own)).await else {
        panic!("it is taken");
    };
    assert!(
        reason.contains("`machine port` of this machine"),
        "{reason}"
    );
}

#[tokio::test]
async fn a_port_that_was_closed_is_free_at_once() {
    let bench = Bench::new(Scope::All).await;
    let wanted = port("127.0.0.1", free());
    for _ in 0..3 {
        // Without a turn of anybody else in between.
        bench
            .publisher
            .open(wanted, Owner::Container)
            .await
            .unwrap();
        bench.publisher.close_port(&wanted, Owner::Container).await;
    }
}

#[tokio::test]
async fn the_last_configuration_is_the_one_that_counts() {
    let neighbours = Arc::new(Hesitant::default());
    let bench = Bench::beside(Scope::All, neighbours.clone()).await;
    let holder = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = port("127.0.0.1", holder.local_addr().unwrap().port());
    let behind = port("127.0.0.1", free());
    let publisher = Arc::clone(&bench.publisher);
    let first = tokio::spawn(async move { publisher.configure(&[taken, behind]).await });
    soon(neighbours.asked.notified()).await;
    // The first one is still at its taken port when the second comes.
    let publisher = Arc::clone(&bench.publisher);
    let second = tokio::spawn(async move { publisher.configure(&[]).await });
    tokio::task::yield_now().await;
    neighbours.may_say.notify_one();
    assert_eq!(soon(first).await.unwrap().len(), 1);
    assert_eq!(soon(second).await.unwrap(), []);
    assert_eq!(bench.publisher.list().await, []);
}

#[tokio::test]
async fn what_comes_late_changes_nothing() {
    let mut bench = Bench::new(Scope::All).await;
    let wanted = port("127.0.0.1", free());
    bench.number = 5;
    bench.asks(Wanted::Unexpose(wanted)).await;
    bench.number = 3;
    let reply = bench.asks(Wanted::Expose(wanted)).await;
    let reason = "the request is out of date".to_owned();
    assert_eq!(reply, PublishReply::Failed { reason });
    assert_eq!(bench.publisher.list().await, []);
}

#[tokio::test]
async fn a_hostile_guest_gets_nothing() {
    let mut bench = Bench::new(Scope::Loopback).await;
    for (address, number) in [("8.8.8.8", 5), ("224.0.0.1", 5), ("127.0.0.1", 0)] {
        let reply = bench.asks(Wanted::Expose(port(address, number))).await;
        assert!(matches!(reply, PublishReply::Failed { .. }), "{reply:?}");
    }
    for line in [
        &b"rubbish\n"[..],
        b"{\"boot\":\"b\",\"number\":1,\"wanted\":{\"expose\":{\"protocol\":\"unix\",\"address\":\"/etc/x\",\"port\":1,\"guest_port\":1}}}\n",
        b"{\"boot\":\"b\",\"number\":1,\"wanted\":{\"expose\":{\"protocol\":\"tcp\",\"address\":\"127.0.0.1\",\"port\":70000,\"guest_port\":1}}}\n",
        b"no end",
        &vec![b'x'; MAX_LINE + 100],
    ] {
        assert_eq!(bench.says(line).await, b"", "{} bytes", line.len());
    }
    assert_eq!(bench.publisher.list().await, []);
    // Those who begin and say nothing are few at a time.
    let mut silent = Vec::new();
    for _ in 0..REQUESTS {
        let (from, mut to) = bench.guest.open(&Target::Publish).unwrap().into_split();
        to.write_all(b"{").await.unwrap();
        silent.push((from, to));
    }
    assert_eq!(bench.says(b"{}\n").await, b"");
    drop(silent);
    soon(async {
        let line = b"{\"boot\":\"b\",\"number\":1,\"wanted\":{\"sync\":[]}}\n";
        while bench.says(line).await != b"{\"synced\":{\"missing\":0}}\n" {}
    })
    .await;
}

#[tokio::test]
async fn loopback_alone_means_it() {
    let mut bench = Bench::new(Scope::Loopback).await;
    let number = free();
    let reply = bench.asks(Wanted::Expose(port("0.0.0.0", number))).await;
    assert_eq!(reply, PublishReply::Done);
    assert_eq!(answers("127.0.0.1", number).await.unwrap(), "80:hi");
    // Another program can still have the port at another address.
    assert!(TcpListener::bind(("127.0.0.2", number)).await.is_ok() || cfg!(target_os = "macos"));
}

#[tokio::test]
async fn datagrams_find_their_way_back_to_each_client() {
    let mut bench = Bench::new(Scope::All).await;
    let number = free();
    let udp = Port {
        protocol: Protocol::Udp,
        ..port("127.0.0.1", number)
    };
    // The number is TCP's too.
    let tcp = port("127.0.0.1", number);
    for wanted in [udp, tcp] {
        assert_eq!(bench.asks(Wanted::Expose(wanted)).await, PublishReply::Done);
    }
    let mut clients = Vec::new();
    for _ in 0..20 {
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        client.connect(("127.0.0.1", number)).await.unwrap();
        clients.push(client);
    }
    let mut buffer = vec![0; 65_536];
    for (text, turned) in [(&b"ab"[..], &b"ba"[..]), (b"", b"")] {
        for client in &clients {
            client.send(text).await.unwrap();
        }
        for client in &clients {
            let length = soon(client.recv(&mut buffer)).await.unwrap();
            assert_eq!(&buffer[..length], turned);
        }
    }
    // One after the other: a system keeps few large ones.
    let large = vec![b'x'; 60_000];
    for client in &clients {
        client.send(&large).await.unwrap();
        let length = soon(client.recv(&mut buffer)).await.unwrap();
        assert!(buffer[..length] == large, "{length} bytes");
    }
    let holder = bench.asks(Wanted::Unexpose(udp)).await;
    assert_eq!(holder, PublishReply::Done);
    assert!(UdpSocket::bind(("127.0.0.1", number)).await.is_ok());
    soon(async {
        while bench.guest.statistics().streams > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn clients_of_a_udp_port_are_not_too_many() {
    let mut bench = Bench::new(Scope::All).await;
    let number = free();
    let udp = Port {
        protocol: Protocol::Udp,
        ..port("127.0.0.1", number)
    };
    assert_eq!(bench.asks(Wanted::Expose(udp)).await, PublishReply::Done);
    let mut clients = Vec::new();
    let mut buffer = [0; 16];
    for _ in 0..256 {
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        client.send_to(b"ab", ("127.0.0.1", number)).await.unwrap();
        soon(client.recv(&mut buffer)).await.unwrap();
        clients.push(client);
    }
    let late = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    late.send_to(b"ab", ("127.0.0.1", number)).await.unwrap();
    // Those that are known are served on, and the datagram before theirs is done with.
    clients[0]
        .send_to(b"ab", ("127.0.0.1", number))
        .await
        .unwrap();
    soon(clients[0].recv(&mut buffer)).await.unwrap();
    assert_eq!(bench.guest.statistics().streams, 256);
    assert!(late.try_recv(&mut buffer).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_silent_is_forgotten() {
    let mut bench = Bench::new(Scope::All).await;
    let number = free();
    let udp = Port {
        protocol: Protocol::Udp,
        ..port("127.0.0.1", number)
    };
    assert_eq!(bench.asks(Wanted::Expose(udp)).await, PublishReply::Done);
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut buffer = [0; 16];
    client.send_to(b"ab", ("127.0.0.1", number)).await.unwrap();
    client.recv(&mut buffer).await.unwrap();
    assert_eq!(bench.guest.statistics().streams, 1);
    let begun = tokio::time::Instant::now();
    while bench.guest.statistics().streams > 0 {
        tokio::task::yield_now().await;
        tokio::time::advance(Duration::from_millis(100)).await;
        assert!(begun.elapsed() < deadlines::UDP_IDLE.limit * 2);
    }
    assert!(begun.elapsed() >= deadlines::UDP_IDLE.limit);
}

/// The texts of what is open, with whose it is.
async fn listed(bench: &Bench) -> Vec<String> {
    let list = bench.publisher.list().await.into_iter();
    list.map(|open| format!("{} of {}", open.port, open.owner))
        .collect()
}

fn servers(numbers: &[u16]) -> Wanted {
    Wanted::Listeners(numbers.to_vec())
}

fn synced(missing: usize) -> PublishReply {
    PublishReply::Synced { missing }
}

#[tokio::test]
async fn servers_of_the_guest_are_ports_of_the_loopback_where_they_may_be() {
    let mut bench = Bench::new(Scope::All).await;
    let (one, two) = (free(), free());
    assert_eq!(bench.asks(servers(&[one, two])).await, synced(2), "unasked");
    assert_eq!(listed(&bench).await, [] as [String; 0]);
    bench.publisher.forward_listeners(true).await;
    assert_eq!(listed(&bench).await, [] as [String; 0]);
    assert_eq!(bench.asks(servers(&[one, two])).await, synced(0));
    for number in [one, two] {
        let answer = answers("127.0.0.1", number).await.unwrap();
        assert_eq!(answer, format!("{number}:hi"));
    }
    if has_ipv6() {
        assert_eq!(answers("::1", one).await.unwrap(), format!("{one}:hi"));
    }
    assert!(TcpListener::bind(("127.0.0.2", one)).await.is_ok() || cfg!(target_os = "macos"));
    bench.told();
    // One ends, and ports of others are none of its business.
    let other = port("0.0.0.0", free());
    bench.asks(Wanted::Expose(other)).await;
    assert_eq!(bench.asks(servers(&[two])).await, synced(0));
    assert_eq!(answers("127.0.0.1", one).await, None);
    let list = bench.publisher.list().await;
    assert_eq!(list.len(), 2);
    let reply = bench.asks(Wanted::Sync(vec![other])).await;
    assert_eq!(reply, synced(0));
    assert_eq!(bench.publisher.list().await, list);

    bench.publisher.forward_listeners(false).await;
    assert_eq!(answers("127.0.0.1", two).await, None);
    assert_eq!(bench.publisher.list().await, [open(other)]);
    assert_eq!(bench.asks(servers(&[two])).await, synced(1));
    assert_eq!(bench.publisher.list().await, [open(other)]);
}

#[tokio::test]
async fn servers_of_datagrams_are_ports_of_their_own() {
    let mut bench = Bench::new(Scope::All).await;
    bench.publisher.forward_listeners(true).await;
    let number = free();
    let both = [
        format!("tcp 127.0.0.1:{number} of a guest's server"),
        format!("udp 127.0.0.1:{number} of a guest's server"),
    ];
    assert_eq!(bench.asks(servers(&[number])).await, synced(0));
    let datagrams = |numbers: &[u16]| Wanted::UdpListeners(numbers.to_vec());
    assert_eq!(bench.asks(datagrams(&[number])).await, synced(0));
    assert_eq!(listed(&bench).await, both);
    assert!(UdpSocket::bind(("127.0.0.1", number)).await.is_err());
    // The end of one is none of the other's.
    assert_eq!(bench.asks(servers(&[])).await, synced(0));
    assert_eq!(listed(&bench).await, both[1..]);
    assert_eq!(bench.asks(datagrams(&[0])).await, synced(1));
    assert_eq!(listed(&bench).await, [] as [String; 0]);
    bench.asks(datagrams(&[number])).await;
    bench.publisher.forward_listeners(false).await;
    assert_eq!(listed(&bench).await, [] as [String; 0]);
    UdpSocket::bind(("127.0.0.1", number)).await.unwrap();
}

#[tokio::test]
async fn a_port_that_a_guests_server_cannot_have_is_told_of_once() {
    let mut bench = Bench::new(Scope::All).await;
    bench.publisher.forward_listeners(true).await;
    let holder = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = holder.local_addr().unwrap().port();
    let kept = free();
    for _ in 0..3 {
        assert_eq!(bench.asks(servers(&[taken, kept])).await, synced(1));
    }
    let told = bench.told();
    let missing: Vec<_> = told
        .iter()
        .filter_map(|news| match news {
            PortNews::Missing(missing) => Some(missing.reason.as_str()),
            _ => None,
        })
        .collect();
    let expected = format!("listen tcp 127.0.0.1:{taken}: bind: address already in use");
    assert_eq!(missing, [expected]);
    drop(holder);
    assert_eq!(bench.asks(servers(&[taken, kept])).await, synced(0));

    // What containers and the configuration have is no news at all.
    let (container, configured) = (port("0.0.0.0", free()), port("::1", free()));
    bench.asks(Wanted::Expose(container)).await;
    bench.publisher.configure(&[configured]).await;
    bench.told();
    let both = servers(&[taken, kept, container.port, configured.port]);
    assert_eq!(bench.asks(both).await, synced(2));
    assert_eq!(bench.told(), []);
    // Neither is what no guest may say.
    let beyond: Vec<u16> = vec![0; 300];
    assert_eq!(bench.asks(Wanted::Listeners(beyond)).await, synced(300));
    bench.publisher.close().await;
    assert_eq!(bench.asks(servers(&[kept])).await, synced(1));
    assert_eq!(answers("127.0.0.1", kept).await, None);
}

#[tokio::test]
async fn a_guests_server_yields_to_a_container_and_to_the_configuration() {
    let mut bench = Bench::new(Scope::All).await;
    bench.publisher.forward_listeners(true).await;
    let number = free();
    let server = format!("tcp 127.0.0.1:{number} of a guest's server");
    for address in ["0.0.0.0", "127.0.0.1"] {
        assert_eq!(bench.asks(servers(&[number])).await, synced(0));
        assert_eq!(listed(&bench).await, std::slice::from_ref(&server));
        let wanted = port(address, number);
        assert_eq!(bench.asks(Wanted::Expose(wanted)).await, PublishReply::Done);
        assert_eq!(bench.publisher.list().await, [open(wanted)]);
        assert_eq!(answers("127.0.0.1", number).await.unwrap(), "80:hi");
        // It is the container's until that gives it back.
        assert_eq!(bench.asks(servers(&[number])).await, synced(1));
        bench.asks(Wanted::Unexpose(wanted)).await;
        assert_eq!(bench.asks(servers(&[number])).await, synced(0));
        let missing = bench.publisher.configure(&[wanted]).await;
        assert_eq!(missing, []);
        assert_eq!(answers("127.0.0.1", number).await.unwrap(), "80:hi");
        bench.publisher.configure(&[]).await;
    }

    // What fails for another reason has the server's port back.
    assert_eq!(bench.asks(servers(&[number])).await, synced(0));
    let elsewhere = TcpListener::bind(("127.0.0.2", number)).await;
    if let Ok(_holder) = elsewhere {
        let reply = bench.asks(Wanted::Expose(port("0.0.0.0", number))).await;
        assert!(matches!(reply, PublishReply::Failed { .. }), "{reply:?}");
        assert_eq!(listed(&bench).await, [server]);
        let answer = answers("127.0.0.1", number).await.unwrap();
        assert_eq!(answer, format!("{number}:hi"));
    }
}
