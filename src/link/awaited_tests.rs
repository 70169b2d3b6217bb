//! Who dials, how many at once, and what becomes of the session of before.

use std::io;
use std::time::Duration;

use machine_protocol::link::{Hello, LinkError, Role, accept};
use machine_protocol::secret::Secret;
use tokio::io::{AsyncReadExt as _, DuplexStream, duplex};
use tokio::sync::{mpsc, watch};

use super::*;
use crate::link::LinkReport;
use crate::link::session::GuestServices;
use crate::network::publish::Publisher;
use crate::network::sockets::HostSockets;

const LIMIT: Duration = Duration::from_secs(30);

/// Callers that a test makes.
struct Callers(mpsc::UnboundedReceiver<DuplexStream>);

impl Accept for Callers {
    async fn accept(&mut self) -> io::Result<Option<Box<dyn Io>>> {
        match self.0.recv().await {
            Some(stream) => Ok(Some(Box::new(stream))),
            None => std::future::pending().await,
        }
    }
}

struct Bench {
    secret: Secret,
    callers: mpsc::UnboundedSender<DuplexStream>,
    reports: mpsc::UnboundedReceiver<LinkReport>,
    link: watch::Receiver<Option<Link>>,
    reset: Arc<Notify>,
    _serving: JoinSet<()>,
}

impl Bench {
    fn new() -> Self {
        let secret = Secret::generate().unwrap();
        let (callers, accepted) = mpsc::unbounded_channel();
        let (told, reports) = mpsc::unbounded_channel();
        let (publish, link) = watch::channel(None);
        let own = (secret.clone(), "host".to_owned());
        let ports = Publisher::new(
            crate::network::publish::testing::config(),
            link.clone(),
            |_| (),
        );
        let hub = Hub::new(
            own,
            ["vsock"],
            publish,
            GuestServices {
                publisher: Arc::new(ports),
                sockets: Arc::new(HostSockets::new(drop)),
            },
            told,
        );
        let hub = Arc::new(hub);
        let reset = Arc::new(Notify::new());
        let mut serving = JoinSet::new();
        serving.spawn(serve(hub, 0, Callers(accepted), Arc::clone(&reset)));
        Self {
            secret,
            callers,
            reports,
            link,
            reset,
            _serving: serving,
        }
    }

    fn dial(&self) -> DuplexStream {
        let (guest, host) = duplex(1 << 16);
        self.callers.send(host).unwrap();
        guest
    }

    async fn agent(&self, secret: &Secret) -> Result<(Link, LinkDriver<DuplexStream>), LinkError> {
        let hello = Hello {
            role: Role::Guest,
            secret: secret.clone(),
            build: "agent".to_owned(),
            carrier: "vsock".to_owned(),
        };
        let stream = self.dial();
        tokio::time::timeout(LIMIT, accept(stream, &hello))
            .await
            .unwrap_or(Err(LinkError::Lost))
    }

    async fn report(&mut self) -> LinkReport {
        tokio::time::timeout(LIMIT, self.reports.recv())
            .await
            .unwrap()
            .unwrap()
    }
}

fn up() -> LinkReport {
    LinkReport::Up {
        agent: "agent".to_owned(),
        carrier: "vsock",
    }
}

/// Reads until the host hangs up.
async fn hung_up_on(mut stranger: DuplexStream) {
    let mut said = Vec::new();
    stranger.read_to_end(&mut said).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn strangers_are_few_and_have_little_time() {
    let mut bench = Bench::new();
    let begun = tokio::time::Instant::now();
    let silent: Vec<DuplexStream> = (0..STRANGERS).map(|_| bench.dial()).collect();
    // One more is hung up on at once, and so is the agent that comes now.
    hung_up_on(bench.dial()).await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert!(bench.agent(&bench.secret).await.is_err());
    for stranger in silent {
        hung_up_on(stranger).await;
    }
    let limit = deadlines::VSOCK_HELLO.limit;
    assert!((limit..limit * 2).contains(&begun.elapsed()));
    let (_link, _driver) = bench.agent(&bench.secret).await.unwrap();
    assert_eq!(bench.report().await, up(), "nothing is said of strangers");
}

#[tokio::test]
async fn a_caller_with_another_secret_is_no_agent_and_no_news() {
    let mut bench = Bench::new();
    let other = Secret::generate().unwrap();
    assert!(bench.agent(&other).await.is_err());
    let (_link, _driver) = bench.agent(&bench.secret).await.unwrap();
    assert_eq!(bench.report().await, up());
}

#[tokio::test]
async fn who_proves_itself_again_takes_the_place_of_the_session_of_before() {
    let mut bench = Bench::new();
    let (_first, first_driver) = bench.agent(&bench.secret).await.unwrap();
    let first = tokio::spawn(first_driver.run());
    assert_eq!(bench.report().await, up());
    let (_second, second_driver) = bench.agent(&bench.secret).await.unwrap();
    let second = tokio::spawn(second_driver.run());
    assert_eq!(bench.report().await, up());
    first.await.unwrap();
    assert!(bench.link.borrow().is_some());
    second.abort();
    assert!(matches!(bench.report().await, LinkReport::Down { .. }));
    assert!(bench.link.borrow().is_none());
}

#[tokio::test]
async fn a_reset_of_the_guest_ends_what_it_dialled() {
    let mut bench = Bench::new();
    let (_link, driver) = bench.agent(&bench.secret).await.unwrap();
    let running = tokio::spawn(driver.run());
    assert_eq!(bench.report().await, up());
    bench.reset.notify_one();
    let reason = "the guest was reset".to_owned();
    assert_eq!(bench.report().await, LinkReport::Down { reason });
    running.await.unwrap();
}
