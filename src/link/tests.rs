//! A whole link over two carriers, with agents at their other ends.

use std::path::{Path, PathBuf};
use std::time::Duration;

use machine_host::local_socket::{self, Listener};
use machine_protocol::link::{Hello, Link, Role, accept};
use machine_protocol::message::{self, LineBuffer};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;

use super::*;

const LIMIT: Duration = Duration::from_secs(30);

struct Bench {
    directory: TempDir,
    secret: Secret,
    port: Listener,
    handle: LinkHandle,
    reports: mpsc::UnboundedReceiver<LinkReport>,
}

/// An agent's session; it ends when the task does.
struct Agent {
    link: Link,
    running: JoinHandle<()>,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let secret = Secret::generate().unwrap();
        // The hypervisor's end of the port is there before the link.
        let port = local_socket::bind(&directory.path().join("link.sock")).unwrap();
        let (told, reports) = mpsc::unbounded_channel();
        let config = LinkConfig {
            carriers: vec![
                Carrier::Vsock(VsockEnd::Socket(vsock(directory.path()))),
                Carrier::VirtioSerial {
                    socket: directory.path().join("link.sock"),
                },
            ],
            secret: secret.clone(),
            build: "host".to_owned(),
            ports: crate::network::publish::testing::config(),
        };
        Self {
            handle: spawn(config, told).unwrap(),
            directory,
            secret,
            port,
            reports,
        }
    }

    async fn over_port(&mut self) -> Agent {
        let stream = soon(self.port.accept()).await.unwrap();
        self.agent(stream, "virtio-serial").await
    }

    async fn over_vsock(&self) -> Agent {
        let path = vsock(self.directory.path());
        let stream = soon(async {
            loop {
                match local_socket::connect(&path).await {
                    Ok(stream) => return stream,
                    // The link's thread has not come to it yet.
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        });
        self.agent(stream.await, "vsock").await
    }

    async fn agent(&self, stream: local_socket::Stream, carrier: &str) -> Agent {
        let hello = Hello {
            role: Role::Guest,
            secret: self.secret.clone(),
            build: "agent".to_owned(),
            carrier: carrier.to_owned(),
        };
        let (link, driver) = soon(accept(stream, &hello)).await.unwrap();
        let served = link.clone();
        let running = tokio::spawn(async move {
            tokio::select! {
                _ = driver.run() => {}
                () = echo(served) => {}
            }
        });
        Agent { link, running }
    }

    async fn report(&mut self) -> LinkReport {
        soon(self.reports.recv()).await.unwrap()
    }

    /// A client of a socket that the link serves.
    async fn client(&self) -> local_socket::Stream {
        let path = self.directory.path().join("api.sock");
        soon(local_socket::connect(&path)).await.unwrap()
    }
}

fn vsock(directory: &Path) -> PathBuf {
    directory.join("vsock.sock_1025")
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, what)
        .await
        .expect("it takes too long")
}

/// Sends back what comes, and takes every request.
async fn echo(link: Link) {
    while let Some(incoming) = link.incoming().await {
        let control = incoming.target == Target::AgentControl;
        let (mut from, mut to) = incoming.accept().into_split();
        tokio::spawn(async move {
            let mut lines = LineBuffer::default();
            while let Ok(Some(bytes)) = from.read().await {
                if !control {
                    let _ = to.write_all(&bytes).await;
                    continue;
                }
                lines.push(&bytes);
                while let Ok(Some(request)) = lines.next_message::<AgentRequest>() {
                    // The reply names the request, for the tests to see.
                    let reply = match request {
                        AgentRequest::SetSockets { sockets } => missing(sockets),
                        other => AgentReply::Failed {
                            reason: format!("{other:?}"),
                        },
                    };
                    let line = message::to_line(&reply).unwrap();
                    let _ = to.write_all(&line).await;
                }
            }
            to.finish();
        });
    }
}

/// An agent that can make no socket, so that its reply shows what it was asked for.
fn missing(sockets: Vec<String>) -> AgentReply {
    let missing = sockets.into_iter().map(|guest| MissingSocket {
        guest,
        reason: "no".to_owned(),
    });
    AgentReply::Sockets {
        missing: missing.collect(),
    }
}

fn up(carrier: &'static str) -> LinkReport {
    LinkReport::Up {
        agent: "agent".to_owned(),
        carrier,
    }
}

async fn echoes(client: &mut local_socket::Stream) {
    client.write_all(b"ping").await.unwrap();
    let mut answer = [0; 4];
    soon(client.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"ping");
}

#[tokio::test]
async fn the_loss_of_the_better_carrier_ends_its_connections_and_nothing_else() {
    let mut bench = Bench::new();
    let _serial = bench.over_port().await;
    assert_eq!(bench.report().await, up("virtio-serial"));
    let path = bench.directory.path().join("api.sock");
    let place = Place::Socket(path);
    bench.handle.serve(place, Target::Ssh).await.unwrap();
    let mut early = bench.client().await;
    echoes(&mut early).await;

    let vsock = bench.over_vsock().await;
    assert_eq!(bench.report().await, up("vsock"));
    let mut late = bench.client().await;
    echoes(&mut late).await;
    assert_eq!(vsock.link.statistics().streams, 1, "new ones go over it");

    vsock.running.abort();
    assert_eq!(bench.report().await, up("virtio-serial"), "no `Down`");
    let mut rest = Vec::new();
    let ended = soon(late.read_to_end(&mut rest)).await;
    assert!(ended.is_err() || rest.is_empty());
    echoes(&mut early).await;
    echoes(&mut bench.client().await).await;
    bench.handle.close().await;
}

#[tokio::test]
async fn without_the_port_the_vsock_alone_will_do_and_the_last_loss_is_told() {
    let mut bench = Bench::new();
    let vsock = bench.over_vsock().await;
    assert_eq!(bench.report().await, up("vsock"));
    let reply = soon(bench.handle.asker().ask(AgentRequest::ReadClock)).await;
    assert_eq!(
        reply,
        Ok(AgentReply::Failed {
            reason: "ReadClock".to_owned()
        })
    );
    vsock.running.abort();
    assert!(matches!(bench.report().await, LinkReport::Down { .. }));
    let _serial = bench.over_port().await;
    assert_eq!(bench.report().await, up("virtio-serial"));
    bench.handle.close().await;
}

#[tokio::test]
async fn each_agent_is_told_of_the_sockets_and_each_change_is() {
    let mut bench = Bench::new();
    let route = |guest: &str| Route {
        guest: guest.to_owned(),
        host: None,
    };
    let told = || LinkReport::SocketsTold { problem: None };
    let early = bench.handle.configure_sockets(vec![route("/run/a")]);
    assert_eq!(soon(early).await.unwrap(), [], "nobody is there");
    let serial = bench.over_port().await;
    assert_eq!(bench.report().await, up("virtio-serial"));
    assert_eq!(bench.report().await, told());
    let changed = bench
        .handle
        .configure_sockets(vec![route("/run/b"), route("/run/a")]);
    let missing: Vec<String> = soon(changed)
        .await
        .unwrap()
        .into_iter()
        .map(|missing| missing.guest)
        .collect();
    assert_eq!(missing, ["/run/a", "/run/b"]);
    assert_eq!(bench.report().await, told());

    let _vsock = bench.over_vsock().await;
    assert_eq!(bench.report().await, up("vsock"));
    assert_eq!(bench.report().await, told(), "over the new one");
    serial.running.abort();
    let none = bench.handle.configure_sockets(Vec::new());
    assert_eq!(soon(none).await.unwrap(), []);
    bench.handle.close().await;
}
