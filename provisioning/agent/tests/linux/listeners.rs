//! Servers of the guest, which is the test itself here, for a host that wants to hear of them.

use machine_protocol::publish::Wanted;
use tokio::net::{TcpListener, UdpSocket};

use super::publish::{EXPOSE, Engine, PublishingHost, UNEXPOSE, address, json, port, stub};
use super::*;

impl PublishingHost {
    async fn watch(&self, on: bool) {
        let reply = self.host.ask(&AgentRequest::WatchListeners { on }).await;
        assert_eq!(reply, AgentReply::Accepted);
    }

    /// The next set of servers; everything else that is asked is passed over.
    async fn servers(&mut self) -> Vec<u16> {
        loop {
            if let Wanted::Listeners(ports) = self.asked().await {
                return ports;
            }
        }
    }

    /// Waits until a set of UDP ports has this one, or lacks it.
    async fn hears_of_datagrams(&mut self, port: u16, present: bool) {
        loop {
            if let Wanted::UdpListeners(ports) = self.asked().await
                && ports.contains(&port) == present
            {
                return;
            }
        }
    }

    /// Waits until a set has these ports and lacks those. Other tests have servers, too.
    async fn hears(&mut self, present: &[u16], absent: &[u16]) {
        loop {
            let ports = self.servers().await;
            let has = |port: &u16| ports.contains(port);
            if present.iter().all(has) && !absent.iter().any(has) {
                return;
            }
        }
    }
}

async fn server(address: &str) -> (TcpListener, u16) {
    let server = TcpListener::bind((address, 0)).await.unwrap();
    let port = server.local_addr().unwrap().port();
    (server, port)
}

#[tokio::test]
async fn servers_are_told_when_the_host_asks_and_when_they_change() {
    let guest = stub();
    let mut agent = guest.start();
    let mut host = PublishingHost::of(&guest).await;
    let (all, one) = server("0.0.0.0").await;
    let (six, two) = server("::1").await;
    let (_elsewhere, three) = server("127.0.0.53").await;
    host.watch(true).await;
    host.hears(&[one, two], &[three]).await;
    drop(all);
    host.hears(&[two], &[one, three]).await;
    let (_late, four) = server("127.0.0.1").await;
    host.hears(&[two, four], &[one, three]).await;

    // A host that comes anew asks anew; the agent that follows one knows nothing until then.
    agent.kill().await.unwrap();
    let _agent = guest.start();
    let mut host = PublishingHost::of(&guest).await;
    host.watch(true).await;
    host.hears(&[two, four], &[]).await;
    host.host.driver.abort();
    let mut host = PublishingHost::of(&guest).await;
    host.watch(true).await;
    host.hears(&[two, four], &[]).await;
    drop(six);
    host.hears(&[four], &[two]).await;
}

/// At a port that no client gets from the kernel.
async fn datagram_server() -> (UdpSocket, u16) {
    for port in 20000..30000 {
        if let Ok(server) = UdpSocket::bind(("127.0.0.1", port)).await {
            return (server, port);
        }
    }
    panic!("no port is free");
}

#[tokio::test]
async fn servers_of_datagrams_are_told_as_well() {
    let guest = stub();
    let _agent = guest.start();
    let mut host = PublishingHost::of(&guest).await;
    let (server, port) = datagram_server().await;
    host.watch(true).await;
    host.hears_of_datagrams(port, true).await;
    drop(server);
    host.hears_of_datagrams(port, false).await;
    // Asked again, all of it is told again.
    let (_server, port) = datagram_server().await;
    host.hears_of_datagrams(port, true).await;
    host.watch(true).await;
    host.hears_of_datagrams(port, true).await;
}

#[tokio::test]
async fn a_host_that_does_not_ask_hears_nothing() {
    let guest = stub();
    let _agent = guest.start();
    let mut host = PublishingHost::of(&guest).await;
    assert_eq!(host.asked().await, Wanted::Sync(Vec::new()));
    let service = address(&guest, &mut host).await;
    let (_server, number) = server("127.0.0.1").await;
    // Longer than between two looks.
    let quiet = async |host: &mut PublishingHost| {
        let pause = Duration::from_millis(2500);
        assert!(timeout(pause, host.asked()).await.is_err());
    };
    quiet(&mut host).await;
    host.watch(true).await;
    // Through more than one look: only what changes is told.
    let mut last = host.servers().await;
    let mut sets = 0;
    assert!(last.contains(&number));
    while let Ok(set) = timeout(Duration::from_millis(2500), host.servers()).await {
        assert_ne!(set, last);
        (last, sets) = (set, sets + 1);
        if sets > 20 {
            break;
        }
    }
    // Asked again, the same is told again.
    loop {
        host.watch(true).await;
        let set = host.servers().await;
        if set == last {
            break;
        }
        last = set;
    }
    host.watch(false).await;
    // What was under way before.
    while timeout(Duration::from_millis(500), host.asked())
        .await
        .is_ok()
    {}
    let (_late, _) = server("127.0.0.1").await;
    quiet(&mut host).await;
    let mut engine = Engine::to(service).await;
    assert_eq!(engine.asks("POST", EXPOSE, &json(9)).await.0, 200);
    assert_eq!(host.asked().await, Wanted::Expose(port(9)), "and is asked");
}

#[tokio::test]
async fn what_containers_publish_and_what_the_agent_serves_is_left_out() {
    let guest = stub();
    let _agent = guest.start();
    let mut host = PublishingHost::of(&guest).await;
    let service = address(&guest, &mut host).await;
    let (_published, published) = server("0.0.0.0").await;
    let (_own, own) = server("0.0.0.0").await;
    let mut engine = Engine::to(service).await;
    assert_eq!(engine.asks("POST", EXPOSE, &json(published)).await.0, 200);
    host.watch(true).await;
    host.hears(&[own], &[published, service.port()]).await;
    // A server that has the port when no container publishes it any more.
    let gone = format!(r#"{{"local":":{published}","protocol":"tcp"}}"#);
    assert_eq!(engine.asks("POST", UNEXPOSE, &gone).await.0, 200);
    host.hears(&[own, published], &[service.port()]).await;
}

#[tokio::test]
async fn a_host_that_did_not_answer_is_told_again() {
    let guest = stub();
    let _agent = guest.start();
    let mut host = PublishingHost::of(&guest).await;
    assert_eq!(host.asked().await, Wanted::Sync(Vec::new()));
    let (_server, number) = server("127.0.0.1").await;
    // Only a set that got no answer is told twice; other tests may change it meanwhile.
    host.answers.lock().unwrap().extend(vec![None; 100]);
    host.watch(true).await;
    let mut last = host.servers().await;
    loop {
        let set = host.servers().await;
        assert!(set.contains(&number));
        if set == last {
            break;
        }
        last = set;
    }
}
