//! Published ports, as Podman asks for them, with a host of the test's own.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use machine_protocol::publish::{Port, Protocol, PublishReply, PublishRequest, Wanted};
use tokio::net::{TcpListener, TcpStream};

use super::*;

pub(super) const EXPOSE: &str = "/services/forwarder/expose";
pub(super) const UNEXPOSE: &str = "/services/forwarder/unexpose";
const ALL: &str = "/services/forwarder/all";

/// A guest that has what the way to the service takes.
pub(super) fn stub() -> StubGuest {
    let guest = StubGuest::new(false);
    guest.program(
        "nft",
        &format!("echo \"$1\" > '{}'", guest.path("nft").display()),
    );
    guest.program("ip", "true");
    guest.program("systemctl", "test \"$1\" = list-units || echo running");
    guest
}

/// Where the rules lead once the agent listens.
pub(super) async fn address(guest: &StubGuest, host: &mut PublishingHost) -> SocketAddr {
    assert_eq!(host.host.health(Part::Ports).await, None);
    let rules = fs_err::read_to_string(guest.path("nft")).unwrap();
    let port = rules.trim_end().rsplit(':').next().unwrap();
    SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap()))
}

/// A host that notes what it is asked and gives these answers, `None` for none, then `Done`.
pub(super) struct PublishingHost {
    pub(super) host: Host,
    asked: mpsc::UnboundedReceiver<PublishRequest>,
    pub(super) answers: Arc<Mutex<VecDeque<Option<PublishReply>>>>,
}

impl PublishingHost {
    pub(super) async fn of(guest: &StubGuest) -> Self {
        let (stream, _) = soon(guest.carrier.accept()).await.unwrap();
        let (told, asked) = mpsc::unbounded_channel();
        let answers = Arc::new(Mutex::new(VecDeque::new()));
        let given = Arc::clone(&answers);
        let host = Host::with(stream, &guest.secret, move |incoming| {
            assert_eq!(incoming.target, Target::Publish);
            let (told, given) = (told.clone(), Arc::clone(&given));
            tokio::spawn(async move {
                let (mut from, mut to) = incoming.accept().into_split();
                let mut lines = LineBuffer::with_limit(machine_protocol::publish::MAX_LINE);
                while let Ok(Some(bytes)) = from.read().await {
                    lines.push(&bytes);
                }
                let Ok(Some(request)) = lines.next_message() else {
                    return;
                };
                told.send(request).unwrap();
                let answer = given.lock().unwrap().pop_front();
                let Some(answer) = answer.unwrap_or(Some(PublishReply::Done)) else {
                    return;
                };
                let line = message::to_line(&answer).unwrap();
                to.write_all(&line).await.unwrap();
                to.finish();
            });
        });
        Self {
            host: host.await.unwrap(),
            asked,
            answers,
        }
    }

    pub(super) async fn asked(&mut self) -> Wanted {
        soon(self.asked.recv()).await.unwrap().wanted
    }

    fn will_answer(&self, answers: impl IntoIterator<Item = PublishReply>) {
        let answers = answers.into_iter().map(Some);
        self.answers.lock().unwrap().extend(answers);
    }
}

pub(super) fn port(number: u16) -> Port {
    Port {
        protocol: Protocol::Tcp,
        address: "0.0.0.0".parse().unwrap(),
        port: number,
        guest_port: number,
    }
}

pub(super) fn json(number: u16) -> String {
    format!(r#"{{"local":":{number}","remote":":{number}","protocol":"tcp"}}"#)
}

fn failed(reason: &str) -> PublishReply {
    PublishReply::Failed {
        reason: reason.to_owned(),
    }
}

/// One connection of an engine.
pub(super) struct Engine(TcpStream);

impl Engine {
    pub(super) async fn to(address: SocketAddr) -> Self {
        Self(soon(TcpStream::connect(address)).await.unwrap())
    }

    /// Status and body of an answer.
    pub(super) async fn asks(&mut self, method: &str, path: &str, body: &str) -> (u16, String) {
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: gateway.containers.internal\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        self.says(request.as_bytes()).await
    }

    async fn says(&mut self, bytes: &[u8]) -> (u16, String) {
        soon(self.0.write_all(bytes)).await.unwrap();
        let mut answer = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&answer).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head
                    .lines()
                    .find_map(|line| {
                        line.to_lowercase()
                            .strip_prefix("content-length: ")
                            .map(str::to_owned)
                    })
                    .map_or(0, |length| length.parse().unwrap());
                if body.len() >= length {
                    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
                    return (status, body.to_owned());
                }
            }
            let read = soon(self.0.read_buf(&mut answer)).await.unwrap();
            assert_ne!(read, 0, "the connection ended after `{text}`");
        }
    }
}

#[tokio::test]
async fn ports_are_published_kept_by_the_next_agent_and_given_back() {
    let guest = stub();
    let mut agent = guest.start();
    let mut host = PublishingHost::of(&guest).await;
    assert_eq!(host.asked().await, Wanted::Sync(Vec::new()));
    let service = address(&guest, &mut host).await;
    let marker = fs_err::read_to_string(guest.path("run/podman-machine")).unwrap();
    assert_eq!(marker, "qemu\n");

    let mut engine = Engine::to(service).await;
    assert_eq!(engine.asks("GET", ALL, "").await, (200, "[]\n".to_owned()));
    for number in [9, 7] {
        assert_eq!(
            engine.asks("POST", EXPOSE, &json(number)).await,
            (200, String::new())
        );
        assert_eq!(host.asked().await, Wanted::Expose(port(number)));
    }
    let list = r#"[{"local":":7","protocol":"tcp","remote":"127.0.0.1:7"},{"local":":9","protocol":"tcp","remote":"127.0.0.1:9"}]"#;
    assert_eq!(
        engine.asks("GET", ALL, "").await,
        (200, format!("{list}\n"))
    );
    let (status, words) = Engine::to(service)
        .await
        .asks("POST", EXPOSE, &json(7))
        .await;
    assert_eq!(status, 500);
    assert!(words.contains("address already in use"), "{words}");

    agent.kill().await.unwrap();
    let _agent = guest.start();
    let mut host = PublishingHost::of(&guest).await;
    assert_eq!(host.asked().await, Wanted::Sync(vec![port(9), port(7)]));
    let mut engine = Engine::to(address(&guest, &mut host).await).await;
    let gone = r#"{"local":":9","protocol":"tcp"}"#;
    for _ in 0..2 {
        assert_eq!(
            engine.asks("POST", UNEXPOSE, gone).await,
            (200, String::new())
        );
    }
    assert_eq!(host.asked().await, Wanted::Unexpose(port(9)), "once");

    // A session that ends changes nothing of what is published.
    host.host.driver.abort();
    let mut host = PublishingHost::of(&guest).await;
    assert_eq!(host.asked().await, Wanted::Sync(vec![port(7)]));
}

#[tokio::test]
async fn half_a_range_is_taken_back() {
    let guest = stub();
    let _agent = guest.start();
    let mut host = PublishingHost::of(&guest).await;
    assert_eq!(host.asked().await, Wanted::Sync(Vec::new()));
    let service = address(&guest, &mut host).await;
    let mut engine = Engine::to(service).await;
    host.will_answer([
        PublishReply::Done,
        failed("listen: bind: address already in use"),
    ]);
    assert_eq!(engine.asks("POST", EXPOSE, &json(1)).await.0, 200);
    assert_eq!(
        engine.asks("POST", EXPOSE, &json(2)).await,
        (500, "listen: bind: address already in use\n".to_owned())
    );
    let asked = [host.asked().await, host.asked().await, host.asked().await];
    assert_eq!(
        asked,
        [
            Wanted::Expose(port(1)),
            Wanted::Expose(port(2)),
            Wanted::Unexpose(port(1))
        ]
    );
    assert_eq!(engine.asks("GET", ALL, "").await, (200, "[]\n".to_owned()));
}

#[tokio::test]
async fn without_a_host_the_answer_comes_at_once() {
    let guest = stub();
    let _agent = guest.start();
    let mut host = PublishingHost::of(&guest).await;
    host.asked().await;
    let service = address(&guest, &mut host).await;
    let mut engine = Engine::to(service).await;
    assert_eq!(engine.asks("POST", EXPOSE, &json(1)).await.0, 200);
    host.host.driver.abort();
    let (carrier, _) = soon(guest.carrier.accept()).await.unwrap();
    let begun = std::time::Instant::now();
    let (status, words) = Engine::to(service)
        .await
        .asks("POST", EXPOSE, &json(2))
        .await;
    assert_eq!(status, 500);
    assert!(words.contains("no connection to its host"), "{words}");
    // It can be removed all the same, and the next host hears of it.
    let gone = engine.asks("POST", UNEXPOSE, &json(1)).await;
    assert_eq!(gone, (200, String::new()));
    assert!(begun.elapsed() < Duration::from_secs(5));
    drop(carrier);
    let mut host = PublishingHost::of(&guest).await;
    assert_eq!(host.asked().await, Wanted::Sync(Vec::new()));
}

#[tokio::test]
async fn a_host_that_does_not_answer_hears_the_truth_with_the_next_request() {
    let guest = stub();
    let _agent = guest.start();
    let mut host = PublishingHost::of(&guest).await;
    host.asked().await;
    let service = address(&guest, &mut host).await;
    host.answers
        .lock()
        .unwrap()
        .extend([Some(PublishReply::Done), None]);
    let mut engine = Engine::to(service).await;
    assert_eq!(engine.asks("POST", EXPOSE, &json(1)).await.0, 200);
    let mut other = Engine::to(service).await;
    // A stream that ends is as bad as silence, and quicker.
    let (status, words) = other.asks("POST", EXPOSE, &json(2)).await;
    assert_eq!(status, 500);
    assert!(words.contains("did not answer"), "{words}");
    assert_eq!(other.asks("POST", EXPOSE, &json(3)).await.0, 200);
    let mut asked = Vec::new();
    while asked.len() < 4 {
        asked.push(host.asked().await);
    }
    assert_eq!(
        asked,
        [
            Wanted::Expose(port(1)),
            Wanted::Expose(port(2)),
            Wanted::Sync(vec![port(1)]),
            Wanted::Expose(port(3))
        ]
    );
}

#[tokio::test]
async fn hostile_clients_get_short_answers() {
    let guest = stub();
    let _agent = guest.start();
    let mut host = PublishingHost::of(&guest).await;
    host.asked().await;
    let service = address(&guest, &mut host).await;
    for (method, path, body, status, words) in [
        ("GET", EXPOSE, "", 400, "post only"),
        ("POST", EXPOSE, "{", 500, "EOF"),
        ("POST", EXPOSE, "[]", 500, "missing port"),
        (
            "POST",
            EXPOSE,
            r#"{"local":":0","remote":":1"}"#,
            500,
            "1 to 65535",
        ),
        (
            "POST",
            EXPOSE,
            r#"{"local":"/etc/passwd","remote":":1","protocol":"unix"}"#,
            500,
            "no paths",
        ),
        ("POST", "/services/dhcp/leases", "", 404, "page not found"),
    ] {
        let (found, said) = Engine::to(service).await.asks(method, path, body).await;
        assert_eq!(found, status, "{method} {path} {body}: {said}");
        assert!(said.contains(words), "{method} {path} {body}: {said}");
    }
    let large = format!(r#"{{"local":"{}"}}"#, "x".repeat(5000));
    let (status, said) = Engine::to(service).await.asks("POST", EXPOSE, &large).await;
    assert_eq!((status, said.trim_end()), (500, "length limit exceeded"));
    let head = format!("GET {ALL} HTTP/1.1\r\nX: {}\r\n", "x".repeat(20_000));
    assert_eq!(Engine::to(service).await.says(head.as_bytes()).await.0, 431);

    // Those who say nothing are in nobody's way for long, and one too many is closed at once.
    let mut silent = Vec::new();
    for _ in 0..80 {
        silent.push(TcpStream::connect(service).await.unwrap());
    }
    let mut nothing = [0; 1];
    let last = silent.last_mut().unwrap();
    // Not by the limit of time that each has.
    let ended = timeout(Duration::from_secs(3), last.read(&mut nothing)).await;
    let ended = ended.expect("it is closed at once");
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    drop(silent);
    soon(async {
        loop {
            let mut stream = TcpStream::connect(service).await.unwrap();
            let asked = format!("GET {ALL} HTTP/1.0\r\n\r\n");
            let _ = stream.write_all(asked.as_bytes()).await;
            let mut answer = String::new();
            if stream.read_to_string(&mut answer).await.is_ok() && answer.contains("200 OK") {
                return;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_port_of_the_guest_is_reached_at_either_loopback() {
    let guest = stub();
    let _agent = guest.start();
    let host = guest.host().await;
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let server = TcpListener::bind(address).await.unwrap();
        let number = server.local_addr().unwrap().port();
        let target = Target::Port {
            protocol: Protocol::Tcp,
            port: number,
        };
        let serving = async {
            let (mut client, _) = server.accept().await.unwrap();
            let mut request = Vec::new();
            client.read_to_end(&mut request).await.unwrap();
            client.write_all(b"after the end: ").await.unwrap();
            client.write_all(&request).await.unwrap();
        };
        let (answer, ()) = tokio::join!(host.exchange(&target, b"request"), serving);
        assert_eq!(answer.unwrap(), b"after the end: request");
        drop(server);
        let (error, text) = host.exchange(&target, b"").await.unwrap_err();
        assert_eq!(error, StreamError::Reset(ResetCode::Unreachable));
        assert!(text.unwrap().contains("takes no connection"));
    }
}

#[tokio::test]
async fn datagrams_of_a_stream_are_one_clients() {
    let guest = stub();
    let _agent = guest.start();
    let host = guest.host().await;
    let server = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let target = Target::Port {
        protocol: Protocol::Udp,
        port: server.local_addr().unwrap().port(),
    };
    let (mut from, mut to) = host.link.open(&target).unwrap().into_split();
    let mut buffer = [0; 16];
    let mut clients = Vec::new();
    for _ in 0..2 {
        to.write_all(b"\x02\x00hi").await.unwrap();
        let (length, client) = soon(server.recv_from(&mut buffer)).await.unwrap();
        assert_eq!(&buffer[..length], b"hi");
        clients.push(client);
    }
    assert_eq!(clients[0], clients[1]);
    server.send_to(b"yes", clients[0]).await.unwrap();
    assert_eq!(
        soon(from.read()).await.unwrap().unwrap(),
        &b"\x03\x00yes"[..]
    );
    drop(server);
    // Nobody listens any more, which is a datagram lost and no end.
    for _ in 0..3 {
        to.write_all(b"\x01\x00x").await.unwrap();
    }
    to.finish();
    assert_eq!(soon(from.read()).await.unwrap(), None);
}

#[tokio::test]
async fn a_guest_without_the_programs_has_no_marker_and_says_so() {
    let guest = StubGuest::new(false);
    let boot = guest.boot_goes_on();
    fs_err::write(guest.path("run/podman-machine"), "qemu\n").unwrap();
    let _agent = guest.start();
    let mut host = guest.host().await;
    // It goes before the end of the boot, when all is tried once more.
    soon(async {
        while guest.path("run/podman-machine").exists() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    boot.end();
    let problem = host.health(Part::Ports).await.unwrap();
    assert_eq!(
        problem,
        "containers cannot publish ports: the guest has no `nft`"
    );
    assert!(!guest.path("run/podman-machine").exists());
}
