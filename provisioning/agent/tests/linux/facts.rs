//! What a guest has in common with its host is there before an engine is asked, and every problem is told.

use std::collections::BTreeMap;

use super::*;

/// A guest with proxies and both engines, in which they are applied when the file is there.
fn with_facts_that_take_long() -> (StubGuest, PathBuf) {
    let guest = StubGuest::with_facts(
        false,
        HostFacts {
            proxies: BTreeMap::from([("http_proxy".to_owned(), "http://p:1".to_owned())]),
            ..HostFacts::default()
        },
    );
    let go_on = guest.path("go-on");
    guest.program(
        "systemctl",
        &format!(
            "case $1 in daemon-reload) while ! test -e '{}'; do sleep 0.01; done ;; list-units) ;; *) echo running ;; esac",
            go_on.display()
        ),
    );
    guest.engine("run/podman/podman.sock", OK);
    guest.engine("run/user/1000/podman/podman.sock", OK);
    (guest, go_on)
}

async fn an_engine_answers_after_the_proxies(host: &mut Host) {
    let mut applied = false;
    loop {
        match soon(host.events.recv()).await.unwrap() {
            AgentEvent::Health {
                part: Part::Proxies,
                problem,
            } => {
                assert_eq!(problem, None);
                applied = true;
            }
            AgentEvent::EngineReady { .. } => break,
            _ => {}
        }
    }
    assert!(applied, "the engine was asked before");
}

#[tokio::test]
async fn an_engine_is_asked_when_the_facts_are_applied() {
    let (guest, go_on) = with_facts_that_take_long();
    let _agent = guest.start();
    let mut host = guest.host().await;
    host.event().await;
    host.hears(vec![
        listening(Engine::Rootful),
        listening(Engine::Rootless),
    ])
    .await;
    fs_err::write(go_on, "").unwrap();
    an_engine_answers_after_the_proxies(&mut host).await;
    let text = fs_err::read_to_string(guest.path("etc/profile.d/default-env.sh")).unwrap();
    assert_eq!(text, "export http_proxy='http://p:1'\n");
}

#[tokio::test]
async fn the_hosts_word_of_the_mode_asks_no_engine_before() {
    let (guest, go_on) = with_facts_that_take_long();
    let _agent = guest.start();
    let mut host = guest.host().await;
    host.event().await;
    host.hears(vec![
        listening(Engine::Rootful),
        listening(Engine::Rootless),
    ])
    .await;
    // As every supervisor does when the link is there.
    let request = AgentRequest::SetMode { rootful: false };
    let early = timeout(Duration::from_secs(1), host.ask(&request)).await;
    assert!(early.is_err(), "the engine was asked: {early:?}");
    fs_err::write(go_on, "").unwrap();
    an_engine_answers_after_the_proxies(&mut host).await;
}

#[tokio::test]
async fn what_a_guest_cannot_have_is_told_before_the_end_of_the_boot() {
    let guest = StubGuest::with_facts(
        false,
        HostFacts {
            time_zone: Some("Europe/Berlin".to_owned()),
            swap_mib: 64,
            certificates: true,
            ..HostFacts::default()
        },
    );
    guest.program("systemctl", "test \"$1\" = list-units || echo running");
    let _agent = guest.start();
    let mut host = guest.host().await;
    let mut problems = BTreeMap::new();
    loop {
        match soon(host.events.recv()).await.unwrap() {
            AgentEvent::Health { part, problem } => {
                problems.insert(part, problem.unwrap_or_default());
            }
            AgentEvent::BootFinished { .. } => break,
            _ => {}
        }
    }
    for (part, words) in [
        (
            Part::TimeZone,
            "the guest does not know the time zone `Europe/Berlin`",
        ),
        (Part::Swap, "the guest has no `modprobe`"),
        (
            Part::Certificates,
            "the host's certificate authorities cannot be read",
        ),
    ] {
        let problem = problems.get(&part).map_or("", String::as_str);
        assert!(problem.starts_with(words), "{part:?}: {problem}");
    }
    assert!(
        !problems.contains_key(&Part::Proxies),
        "nobody asked for any"
    );
}
