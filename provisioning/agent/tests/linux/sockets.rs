//! Sockets of the host, with a host of the test's own that says back what comes.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};

use machine_protocol::sockets::{MOST, MissingSocket};

use super::*;

const PLACE: &str = "/run/host/a.sock";

/// A guest whose files are those of the test's user, who need not be root.
fn stub() -> StubGuest {
    let guest = StubGuest::new(false);
    guest.program("systemctl", "test \"$1\" = list-units || echo running");
    guest
}

/// A host that gets the streams for sockets.
struct Forwarding {
    host: Host,
    streams: mpsc::UnboundedReceiver<Incoming>,
}

impl Forwarding {
    async fn of(guest: &StubGuest) -> Self {
        let (stream, _) = soon(guest.carrier.accept()).await.unwrap();
        let (told, streams) = mpsc::unbounded_channel();
        let host = Host::with(stream, &guest.secret, move |incoming| {
            if matches!(incoming.target, Target::Socket { .. }) {
                told.send(incoming).unwrap();
            }
        });
        let host = host.await.unwrap();
        Self { host, streams }
    }

    async fn set(&self, sockets: &[&str]) -> Vec<MissingSocket> {
        let sockets = sockets.iter().map(|path| (*path).to_owned()).collect();
        match self.host.ask(&AgentRequest::SetSockets { sockets }).await {
            AgentReply::Sockets { missing } => missing,
            other => panic!("{other:?}"),
        }
    }

    async fn stream(&mut self) -> Incoming {
        soon(self.streams.recv()).await.unwrap()
    }
}

fn is_socket(guest: &StubGuest, path: &str) -> bool {
    let there = guest.path(path.trim_start_matches('/')).symlink_metadata();
    there.is_ok_and(|there| there.file_type().is_socket())
}

async fn client(guest: &StubGuest, path: &str) -> UnixStream {
    let path = guest.path(path.trim_start_matches('/'));
    soon(UnixStream::connect(path)).await.unwrap()
}

async fn rest(client: &mut UnixStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A client that is cut off may hear of it as an error.
    let _ = soon(client.read_to_end(&mut bytes)).await;
    bytes
}

/// Says each stream back, and the name that it was asked for.
async fn echo(incoming: Incoming) {
    let Target::Socket { guest } = incoming.target.clone() else {
        panic!("another target");
    };
    let (mut from, mut to) = incoming.accept().into_split();
    to.write_all(guest.as_bytes()).await.unwrap();
    while let Ok(Some(bytes)) = from.read().await {
        to.write_all(&bytes).await.unwrap();
    }
    to.finish();
}

#[tokio::test]
async fn clients_are_led_to_the_host_and_half_an_end_is_one() {
    let guest = stub();
    let _agent = guest.start();
    let mut host = Forwarding::of(&guest).await;
    assert_eq!(host.set(&[PLACE, "/run/b"]).await, []);
    let mode = fs_err::metadata(guest.path("run/host/a.sock")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o7777, 0o600);
    for path in [PLACE, "/run/b"] {
        let mut client = client(&guest, path).await;
        client.write_all(b" hi").await.unwrap();
        client.shutdown().await.unwrap();
        let incoming = host.stream().await;
        tokio::spawn(echo(incoming));
        assert_eq!(rest(&mut client).await, format!("{path} hi").as_bytes());
    }
    // A refusal is an end, at once.
    let mut refused = client(&guest, PLACE).await;
    host.stream().await.refuse_with(ResetCode::Refused, "no");
    assert_eq!(rest(&mut refused).await, b"");
    // The other way round: the client goes away.
    let gone = client(&guest, PLACE).await;
    let (mut from, _to) = host.stream().await.accept().into_split();
    drop(gone);
    let heard = soon(from.read()).await;
    assert!(matches!(heard, Ok(None) | Err(_)), "{heard:?}");
}

#[tokio::test]
async fn the_list_is_the_whole_of_it_and_nothing_else_is_touched() {
    let guest = stub();
    fs_err::write(guest.path("run/file"), "mine").unwrap();
    let _agent = guest.start();
    let mut host = Forwarding::of(&guest).await;
    let missing = host.set(&["/run/file", PLACE, "run/x"]).await;
    let named: Vec<&str> = missing.iter().map(|missing| &*missing.guest).collect();
    assert_eq!(named, ["/run/file", "run/x"]);
    assert!(missing[0].reason.contains("something else is there"));
    assert_eq!(
        fs_err::read_to_string(guest.path("run/file")).unwrap(),
        "mine"
    );
    let told = host.host.health(Part::Sockets).await.unwrap();
    assert!(told.contains("the socket `/run/file` is missing"), "{told}");

    // A client stays when another socket goes, and the one that stays is the same.
    let mut kept = client(&guest, PLACE).await;
    let incoming = host.stream().await;
    tokio::spawn(echo(incoming));
    assert_eq!(host.set(&[PLACE]).await, []);
    assert_eq!(host.host.health(Part::Sockets).await, None);
    kept.shutdown().await.unwrap();
    assert_eq!(rest(&mut kept).await, PLACE.as_bytes());
    assert_eq!(host.set(&[]).await, []);
    assert!(!is_socket(&guest, PLACE));
    assert_eq!(
        fs_err::read_to_string(guest.path("run/file")).unwrap(),
        "mine"
    );

    let sockets = (0..=MOST).map(|number| format!("/run/{number}")).collect();
    let reply = host.host.ask(&AgentRequest::SetSockets { sockets }).await;
    assert!(matches!(reply, AgentReply::Failed { .. }), "{reply:?}");
    assert!(!is_socket(&guest, "/run/1"));
}

#[tokio::test]
async fn sockets_outlive_sessions_and_agents() {
    let guest = stub();
    let mut agent = guest.start();
    let host = Forwarding::of(&guest).await;
    assert_eq!(host.set(&[PLACE]).await, []);
    host.host.driver.abort();
    drop(host);
    // Nobody there: an end at once.
    let mut host = Forwarding::of(&guest).await;
    assert!(is_socket(&guest, PLACE));
    // The next session takes the clients, before the host says anything.
    let mut next = client(&guest, PLACE).await;
    let incoming = host.stream().await;
    tokio::spawn(echo(incoming));
    next.shutdown().await.unwrap();
    assert_eq!(rest(&mut next).await, PLACE.as_bytes());

    agent.kill().await.unwrap();
    assert!(is_socket(&guest, PLACE), "it is left");
    let _agent = guest.start();
    let mut host = Forwarding::of(&guest).await;
    assert_eq!(host.set(&[PLACE]).await, []);
    let mut client = client(&guest, PLACE).await;
    let incoming = host.stream().await;
    tokio::spawn(echo(incoming));
    client.shutdown().await.unwrap();
    assert_eq!(rest(&mut client).await, PLACE.as_bytes());
}

#[tokio::test]
async fn what_is_hidden_or_came_too_early_is_made_before_an_engine_is_told_of() {
    let guest = stub();
    let boot = guest.boot_goes_on();
    let _agent = guest.start();
    let mut host = Forwarding::of(&guest).await;
    let early = "/run/user/1000/a.sock";
    let missing = host.set(&[PLACE, early]).await;
    assert_eq!(missing.len(), 1);
    assert!(host.host.health(Part::Sockets).await.is_some());
    // As if something were mounted there.
    fs_err::rename(guest.path("run/host"), guest.path("run/hidden")).unwrap();
    guest.engine("run/user/1000/podman/podman.sock", OK);
    assert_eq!(host.host.health(Part::Sockets).await, None);
    assert!(is_socket(&guest, PLACE) && is_socket(&guest, early));
    boot.end();
    let finished = |event: &AgentEvent| matches!(event, AgentEvent::BootFinished { .. });
    while !finished(&host.host.event().await) {}
}
