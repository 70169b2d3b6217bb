//! What each session hears and may ask, and how one ends.

use super::*;

#[tokio::test]
async fn every_session_hears_the_whole_state() {
    let guest = StubGuest::new(false);
    let boot = guest.boot_goes_on();
    let _agent = guest.start();
    let mut host = guest.host().await;
    let AgentEvent::Started { boot_id, .. } = host.event().await else {
        panic!("the first event is another");
    };
    assert_eq!(boot_id.len(), 36);

    guest.engine("run/podman/podman.sock", OK);
    guest.engine("run/user/1000/podman/podman.sock", OK);
    host.hears(vec![
        listening(Engine::Rootful),
        listening(Engine::Rootless),
        ready(Engine::Rootless),
    ])
    .await;
    boot.end();
    host.hears(vec![boot_finished("running", &[])]).await;

    host.driver.abort();
    let mut host = guest.host().await;
    assert!(
        matches!(host.event().await, AgentEvent::Started { boot_id: again, .. } if again == boot_id)
    );
    host.hears(vec![
        listening(Engine::Rootful),
        listening(Engine::Rootless),
        ready(Engine::Rootless),
        boot_finished("running", &[]),
    ])
    .await;

    let docker = fs_err::read_link(guest.path("run/docker.sock")).unwrap();
    assert_eq!(docker, guest.path("run/user/1000/podman/podman.sock"));
}

#[tokio::test]
async fn the_ssh_server_is_reported_when_it_listens_and_when_it_never_does() {
    let guest = StubGuest::new(false);
    // Nobody listens at this port until it is bound again.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = port.local_addr().unwrap();
    drop(port);
    let boot = guest.boot_goes_on();
    let _agent = guest.start_with(&["--ssh-port", &address.port().to_string()]);
    let mut host = guest.host().await;
    boot.end();
    let problem = host.health(Part::Dns).await.unwrap();
    assert!(
        problem.contains("resolv.conf"),
        "the stub has none: {problem}"
    );
    let problem = host.health(Part::Ssh).await.unwrap();
    assert!(problem.contains("takes no connections"), "{problem}");

    let server = std::net::TcpListener::bind(address).unwrap();
    fs_err::write(guest.path("run/sshd.pid"), "1").unwrap();
    assert_eq!(host.health(Part::Ssh).await, None);
    let greeting = std::thread::spawn(move || {
        let (mut probe, _) = server.accept().unwrap();
        std::io::Write::write_all(&mut probe, b"to the probe").unwrap();
        let (mut client, _) = server.accept().unwrap();
        std::io::Write::write_all(&mut client, b"SSH-2.0-stub\r\n").unwrap();
    });
    assert_eq!(
        host.exchange(&Target::Ssh, b"").await.unwrap(),
        b"SSH-2.0-stub\r\n"
    );
    greeting.join().unwrap();
}

#[tokio::test]
async fn the_mode_can_be_changed() {
    let guest = StubGuest::new(false);
    guest.program("systemctl", "test \"$1\" = list-units || echo running");
    guest.engine("run/podman/podman.sock", OK);
    guest.engine("run/user/1000/podman/podman.sock", OK);
    let _agent = guest.start();
    let mut host = guest.host().await;
    host.event().await;
    host.hears(vec![
        listening(Engine::Rootful),
        listening(Engine::Rootless),
        ready(Engine::Rootless),
        boot_finished("running", &[]),
    ])
    .await;
    let reply = host.ask(&AgentRequest::SetMode { rootful: true }).await;
    assert_eq!(reply, AgentReply::Accepted);
    host.hears(vec![ready(Engine::Rootful)]).await;
    let docker = fs_err::read_link(guest.path("run/docker.sock")).unwrap();
    assert_eq!(docker, guest.path("run/podman/podman.sock"));
}

#[tokio::test]
async fn the_clock_is_read() {
    let guest = StubGuest::new(false);
    let _agent = guest.start();
    let host = guest.host().await;
    let AgentReply::Clock { unix_ns } = host.ask(&AgentRequest::ReadClock).await else {
        panic!("another reply");
    };
    assert!(unix_ns > 1_700_000_000_000_000_000);
}

#[tokio::test]
async fn streams_reach_their_targets() {
    let guest = StubGuest::new(true);
    guest.engine("run/podman/podman.sock", OK);
    let _agent = guest.start();
    let host = guest.host().await;
    let target = Target::Engine(Engine::Rootful);
    let answer = host.exchange(&target, b"request").await.unwrap();
    assert_eq!(answer, [OK.as_bytes(), b"request"].concat());

    let target = Target::Engine(Engine::Rootless);
    let (error, text) = host.exchange(&target, b"request").await.unwrap_err();
    assert_eq!(error, StreamError::Reset(ResetCode::Unreachable));
    let path = guest.path("run/user/1000/podman/podman.sock");
    assert!(
        text.unwrap()
            .starts_with(&format!("`{}` takes no connection: ", path.display()))
    );

    let bytes: Vec<u8> = (0..500_000_u32).flat_map(u32::to_le_bytes).collect();
    assert_eq!(host.exchange(&Target::Discard, &bytes).await.unwrap(), b"");
    let zeros = host
        .exchange(&Target::Source { bytes: 300_001 }, b"")
        .await
        .unwrap();
    assert!(zeros.len() == 300_001 && zeros.iter().all(|byte| *byte == 0));
    assert_eq!(
        host.exchange(&Target::Echo, &bytes[..100_000])
            .await
            .unwrap(),
        &bytes[..100_000]
    );
    let (error, _) = host.exchange(&Target::AgentEvents, b"").await.unwrap_err();
    assert_eq!(error, StreamError::Reset(ResetCode::UnknownTarget));
}

#[tokio::test]
async fn an_engine_that_fails_is_reported_with_its_journal() {
    let guest = StubGuest::new(true);
    guest.program(
        "systemctl",
        r#"case "$1" in list-units) echo "podman.service loaded failed failed Podman";; *) echo degraded; exit 1;; esac"#,
    );
    guest.program(
        "journalctl",
        r#"case "$*" in *--identifier=systemd) echo "Dependency failed for var-x.mount";; *) echo "Error: no space left";; esac"#,
    );
    guest.engine("run/podman/podman.sock", "HTTP/1.0 500 Internal\r\n\r\n");
    let detail = ["Dependency failed for var-x.mount", "Error: no space left"]
        .map(str::to_owned)
        .to_vec();
    let _agent = guest.start();
    let mut host = guest.host().await;
    host.event().await;
    host.hears(vec![
        listening(Engine::Rootful),
        boot_finished("degraded", &["podman.service"]),
        AgentEvent::EngineFailed {
            engine: Engine::Rootful,
            reason: "The engine answered with status 500".to_owned(),
            detail: detail.clone(),
        },
    ])
    .await;
    assert_eq!(
        host.ask(&AgentRequest::Diagnose).await,
        AgentReply::Diagnosis {
            state: "degraded".to_owned(),
            failed_units: vec!["podman.service".to_owned()],
            detail,
        }
    );
}

#[tokio::test]
async fn a_boot_without_the_engines_socket_is_a_failure() {
    let guest = StubGuest::new(false);
    guest.program("systemctl", r#"test "$1" = list-units || echo maintenance"#);
    guest.engine("run/podman/podman.sock", OK);
    let _agent = guest.start();
    let mut host = guest.host().await;
    host.event().await;
    let path = guest.path("run/user/1000/podman/podman.sock");
    let reason = format!(
        "The guest has started without the engine's socket `{}`",
        path.display()
    );
    loop {
        if let AgentEvent::EngineFailed {
            engine,
            reason: heard,
            ..
        } = host.event().await
        {
            assert_eq!((engine, heard), (Engine::Rootless, reason));
            return;
        }
    }
}

#[tokio::test]
async fn requests() {
    let guest = StubGuest::new(true);
    let record = guest.path("asked");
    guest.program(
        "systemctl",
        &format!("echo \"$*\" >> '{}'", record.display()),
    );
    let _agent = guest.start();
    let host = guest.host().await;
    assert_eq!(
        host.ask(&AgentRequest::PowerOff).await,
        AgentReply::Accepted
    );
    let asked = fs_err::read_to_string(&record).unwrap();
    assert!(
        asked.lines().any(|line| line == "poweroff --no-block"),
        "{asked}"
    );

    let AgentReply::Statistics { resident_kib, .. } = host.ask(&AgentRequest::Statistics).await
    else {
        panic!("another reply");
    };
    assert!(resident_kib > 100);

    let target = "/etc".to_owned();
    let paths = vec!["passwd".to_owned()];
    let reply = host
        .ask(&AgentRequest::FilesChanged { target, paths })
        .await;
    let AgentReply::Failed { reason } = reply else {
        panic!("it is no folder of the host");
    };
    assert!(reason.contains("`/etc`"), "{reason}");

    let reply = host
        .exchange(&Target::AgentControl, b"{\"request\":\"dance\"}\n")
        .await
        .unwrap();
    assert!(matches!(
        serde_json::from_slice(&reply).unwrap(),
        AgentReply::Failed { .. }
    ));
}

#[tokio::test]
async fn another_secret_gets_nothing() {
    let guest = StubGuest::new(true);
    let _agent = guest.start();
    let refused = guest.connect(&Secret::generate().unwrap()).await;
    assert!(refused.is_err());
    // The agent goes on, and takes the right one.
    guest.host().await;
}

#[tokio::test]
async fn a_killed_agent_is_seen_and_its_successor_says_the_same() {
    let guest = StubGuest::new(true);
    guest.engine("run/podman/podman.sock", OK);
    let mut agent = guest.start();
    let host = guest.host().await;
    agent.kill().await.unwrap();
    assert!(matches!(
        soon(host.driver).await.unwrap(),
        LinkError::Eof | LinkError::Io(_)
    ));

    let _agent = guest.start();
    let mut host = guest.host().await;
    host.event().await;
    host.hears(vec![listening(Engine::Rootful), ready(Engine::Rootful)])
        .await;
}

#[tokio::test]
async fn asked_to_end_it_says_good_bye() {
    let guest = StubGuest::new(true);
    let agent = guest.start();
    let host = guest.host().await;
    terminate(&agent);
    match soon(host.driver).await.unwrap() {
        LinkError::ClosedByPeer(text) => assert_eq!(text, "The agent was asked to end"),
        // Unlike a port, a socket fails at once when the host writes to it after the agent has gone.
        LinkError::Io(_) => {}
        other => panic!("{other}"),
    }
    assert!(ended(agent).await.success());

    // Also while nobody is connected.
    let agent = guest.start();
    let (_carrier, _) = soon(guest.carrier.accept()).await.unwrap();
    terminate(&agent);
    assert!(ended(agent).await.success());
}

#[tokio::test]
async fn without_parameters_it_says_so() {
    let output = Command::new(env!("CARGO_BIN_EXE_machine-agent"))
        .arg("--seed")
        .arg(Path::new("/nowhere"))
        .output()
        .await
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.starts_with("The agent ends: The boot parameters cannot be read: ")
            && said.contains("/nowhere/boot.json"),
        "{said}"
    );
}
