//! Several carriers: each has sessions of its own, and none waits for another.

use machine_protocol::boot::Carrier;

use super::*;

/// A second carrier of a stub guest.
fn second(guest: &StubGuest) -> (UnixListener, PathBuf) {
    let path = guest.directory.path().join("second");
    (UnixListener::bind(&path).unwrap(), path)
}

async fn host_at(listener: &UnixListener, guest: &StubGuest) -> Host {
    let (stream, _) = soon(listener.accept()).await.unwrap();
    Host::new(stream, &guest.secret).await.unwrap()
}

async fn echoes(host: &Host) {
    let echoed = host.exchange(&Target::Echo, b"over this one").await;
    assert_eq!(echoed.unwrap(), b"over this one");
}

#[tokio::test]
async fn both_carry_everything_and_the_end_of_one_is_nothing_to_the_other() {
    let guest = StubGuest::new(false);
    guest.engine("run/podman/podman.sock", OK);
    let (listener, path) = second(&guest);
    let agent = guest.start_with(&["--socket", path.to_str().unwrap()]);
    let mut first = guest.host().await;
    let mut other = host_at(&listener, &guest).await;
    for host in [&mut first, &mut other] {
        let heard = host.event().await;
        assert!(matches!(heard, AgentEvent::Started { .. }), "{heard:?}");
        assert_eq!(host.event().await, listening(Engine::Rootful));
        echoes(host).await;
    }
    first.driver.abort();
    echoes(&other).await;
    // It comes back by itself, and hears everything.
    let mut first = guest.host().await;
    assert!(matches!(first.event().await, AgentEvent::Started { .. }));
    echoes(&first).await;

    terminate(&agent);
    for host in [first, other] {
        let end = soon(host.driver).await.unwrap();
        assert!(matches!(end, LinkError::ClosedByPeer(_)), "{end:?}");
    }
    assert!(ended(agent).await.success());
}

/// A host that has nothing but the standard streams of a program.
#[tokio::test]
async fn a_bridge_carries_everything_and_ends_with_either_side() {
    let guest = StubGuest::new(false);
    let socket = guest.path("run/machine/link.sock");
    let boot = guest.directory.path().join(SEED_BOOT);
    let mut parameters: BootParameters =
        serde_json::from_slice(&fs_err::read(&boot).unwrap()).unwrap();
    parameters.carriers = vec![Carrier::Bridge {
        socket: socket.to_str().unwrap().to_owned(),
    }];
    fs_err::write(&boot, serde_json::to_vec(&parameters).unwrap()).unwrap();
    let bridge = || {
        let mut child = Command::new(env!("CARGO_BIN_EXE_machine-agent"))
            .arg("--bridge")
            .arg(&socket)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let streams = (child.stdout.take().unwrap(), child.stdin.take().unwrap());
        (child, tokio::io::join(streams.0, streams.1))
    };
    // It waits for the agent.
    let (mut first, streams) = bridge();
    let agent = guest.run(&[]);
    let host = Host::new(streams, &guest.secret).await.unwrap();
    echoes(&host).await;
    host.driver.abort();
    drop(host);
    assert!(soon(first.wait()).await.unwrap().success());
    // The agent takes the next one, and its end is the bridge's.
    let (mut second, streams) = bridge();
    let host = Host::new(streams, &guest.secret).await.unwrap();
    echoes(&host).await;
    terminate(&agent);
    assert!(soon(second.wait()).await.unwrap().success());
    assert!(ended(agent).await.success());
}

#[tokio::test]
async fn an_absent_carrier_is_tried_again_when_the_host_is_there() {
    let guest = StubGuest::new(false);
    let path = guest.directory.path().join("second");
    let _agent = guest.start_with(&["--socket", path.to_str().unwrap()]);
    let first = guest.host().await;
    echoes(&first).await;
    let listener = UnixListener::bind(&path).unwrap();
    // The wait may have grown by now; another session ends it.
    first.driver.abort();
    let _first = guest.host().await;
    echoes(&host_at(&listener, &guest).await).await;
}

#[tokio::test]
async fn a_stranger_at_one_carrier_does_not_disturb_the_other() {
    let guest = StubGuest::new(false);
    let (listener, path) = second(&guest);
    let _agent = guest.start_with(&["--socket", path.to_str().unwrap()]);
    let (stream, _) = soon(listener.accept()).await.unwrap();
    let stranger = Host::new(stream, &Secret::generate().unwrap()).await;
    assert!(matches!(stranger, Err(LinkError::Rejected(_))));
    echoes(&guest.host().await).await;
}

#[tokio::test]
async fn a_session_that_the_host_has_lost_is_ended_and_its_streams_with_it() {
    let guest = StubGuest::new(false);
    let (listener, path) = second(&guest);
    let _agent = guest.start_with(&["--socket", path.to_str().unwrap()]);
    let first = guest.host().await;
    let other = host_at(&listener, &guest).await;
    let lost = AgentRequest::CarrierLost {
        carrier: "second".to_owned(),
    };
    // A session that has only now begun is not the one that was lost.
    assert_eq!(first.ask(&lost).await, AgentReply::Accepted);
    echoes(&other).await;
    soon(async {
        while !other.driver.is_finished() {
            first.ask(&lost).await;
        }
    })
    .await;
    echoes(&first).await;
    echoes(&host_at(&listener, &guest).await).await;
}
