//! Sockets of the host with a guest of the test's own at the other end of a link.

use std::sync::Arc;
use std::time::Duration;

use machine_host::local_socket::Listener;
use machine_protocol::link::{Link, StreamError};
use machine_protocol::message::Target;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

use super::*;
use crate::network::testing::linked;

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), what)
        .await
        .expect("it takes too long")
}

struct Bench {
    sockets: Arc<HostSockets>,
    guest: Link,
    told: mpsc::UnboundedReceiver<Unreachable>,
    folder: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Self {
        let (host, guest) = linked().await;
        let (tell, told) = mpsc::unbounded_channel();
        let sockets = Arc::new(HostSockets::new(move |news| {
            let _ = tell.send(news);
        }));
        let serving = Arc::clone(&sockets);
        tokio::spawn(async move {
            while let Some(incoming) = host.incoming().await {
                let Target::Socket { guest } = incoming.target.clone() else {
                    panic!("another target");
                };
                let serving = Arc::clone(&serving);
                tokio::spawn(async move { serving.serve(incoming, &guest).await });
            }
        });
        Self {
            sockets,
            guest,
            told,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn listen(&self, name: &str) -> Listener {
        local_socket::bind(&self.path(name)).unwrap()
    }

    fn set(&self, routes: &[(&str, &str)]) {
        let routes = routes.iter().map(|(guest, host)| Route {
            guest: (*guest).to_owned(),
            host: Some(self.path(host)),
        });
        self.sockets.set(routes.collect());
    }

    /// Says something at a place, and reads to the end.
    async fn says(
        &self,
        guest: &str,
        text: &str,
    ) -> Result<Vec<u8>, (StreamError, Option<String>)> {
        let target = Target::Socket {
            guest: guest.to_owned(),
        };
        let (mut from, mut to) = self.guest.open(&target).unwrap().into_split();
        if to.write_all(text.as_bytes()).await.is_ok() {
            to.finish();
        }
        let mut heard = Vec::new();
        loop {
            match soon(from.read()).await {
                Ok(Some(bytes)) => heard.extend_from_slice(&bytes),
                Ok(None) => return Ok(heard),
                Err(error) => return Err((error, from.reset_text())),
            }
        }
    }

    async fn refused(&self, guest: &str) -> (ResetCode, String) {
        match self.says(guest, "hi").await {
            Err((StreamError::Reset(code), text)) => (code, text.unwrap_or_default()),
            other => panic!("{other:?}"),
        }
    }
}

/// Answers one client when it has said all.
async fn answer(mut listener: Listener, name: &'static str) -> Listener {
    let mut client = listener.accept().await.unwrap();
    let mut heard = Vec::new();
    client.read_to_end(&mut heard).await.unwrap();
    client.write_all(name.as_bytes()).await.unwrap();
    client.write_all(&heard).await.unwrap();
    listener
}

#[tokio::test]
async fn a_client_reaches_its_socket_and_no_other() {
    let bench = Bench::new().await;
    let (a, b) = (bench.listen("a"), bench.listen("b"));
    bench.set(&[("/run/a", "a"), ("/run/b", "b")]);
    assert_eq!(bench.sockets.places(), ["/run/a", "/run/b"]);
    let serving = tokio::spawn(async move { (answer(a, "a:").await, answer(b, "b:").await) });
    assert_eq!(bench.says("/run/a", "hi").await.unwrap(), b"a:hi");
    assert_eq!(bench.says("/run/b", "ho").await.unwrap(), b"b:ho");
    let _listening = soon(serving).await.unwrap();
    for other in ["/run/c", &bench.path("a").display().to_string(), ""] {
        let (code, text) = bench.refused(other).await;
        assert_eq!(code, ResetCode::Refused, "{other}");
        assert!(!text.contains(&bench.folder.path().display().to_string()));
    }
}

#[tokio::test]
async fn a_host_that_does_not_listen_is_told_of_once_and_not_to_the_guest() {
    let mut bench = Bench::new().await;
    bench.set(&[("/run/a", "a")]);
    for _ in 0..3 {
        let (code, text) = bench.refused("/run/a").await;
        assert_eq!(code, ResetCode::Unreachable);
        assert_eq!(text, "The host's socket takes no connection");
    }
    let told = soon(bench.told.recv()).await.unwrap();
    assert_eq!(told.guest, "/run/a");
    let host = bench.path("a").display().to_string();
    assert!(told.reason.contains(&host), "{}", told.reason);
    assert!(bench.told.try_recv().is_err(), "once");

    // It comes, and nobody has to be asked again.
    let a = bench.listen("a");
    let serving = tokio::spawn(answer(a, "a:"));
    assert_eq!(bench.says("/run/a", "hi").await.unwrap(), b"a:hi");
    drop(soon(serving).await);
    bench.sockets.set(vec![Route {
        guest: "/run/a".to_owned(),
        host: None,
    }]);
    assert_eq!(bench.refused("/run/a").await.0, ResetCode::Unreachable);
    assert!(bench.told.try_recv().is_err(), "it is known already");
}

#[tokio::test]
async fn clients_are_few_and_go_with_their_socket() {
    let bench = Bench::new().await;
    let mut a = bench.listen("a");
    bench.set(&[("/run/a", "a")]);
    let mut streams = Vec::new();
    let mut clients = Vec::new();
    for _ in 0..64 {
        let target = Target::Socket {
            guest: "/run/a".to_owned(),
        };
        streams.push(bench.guest.open(&target).unwrap());
        clients.push(soon(a.accept()).await.unwrap());
    }
    let (code, text) = bench.refused("/run/a").await;
    assert_eq!(code, ResetCode::Refused);
    assert!(text.contains("Too many"), "{text}");

    bench.set(&[]);
    for client in &mut clients {
        let mut rest = Vec::new();
        // Cut off, in whatever way the system has.
        let _ = soon(client.read_to_end(&mut rest)).await;
    }
    for stream in streams {
        let (mut from, _to) = stream.into_split();
        let end = soon(from.read()).await;
        assert!(matches!(end, Err(_) | Ok(None)), "{end:?}");
    }
    // All places are free again.
    bench.set(&[("/run/a", "a")]);
    let serving = tokio::spawn(answer(a, "a:"));
    assert_eq!(bench.says("/run/a", "hi").await.unwrap(), b"a:hi");
    drop(soon(serving).await);
}

#[test]
fn the_word_is_the_agent_of_whoever_starts_the_machine() {
    let socket = |host: &str, guest: &str| ForwardSocket {
        host: host.to_owned().into(),
        guest: guest.to_owned(),
    };
    let sockets = [socket("ssh-agent", "/run/a"), socket("/b", "/run/b")];
    let route = |guest: &str, host: Option<&str>| Route {
        guest: guest.to_owned(),
        host: host.map(PathBuf::from),
    };
    let known = routes(&sockets, Some(Path::new("/agent")));
    assert_eq!(
        known,
        [route("/run/a", Some("/agent")), route("/run/b", Some("/b"))]
    );
    assert_eq!(problem(&known), None);
    let unknown = routes(&sockets, None);
    assert_eq!(unknown[0], route("/run/a", None));
    let problem = problem(&unknown).unwrap();
    assert!(problem.contains("`/run/a` leads to no SSH agent") && !problem.contains("/run/b"));

    assert_eq!(ssh_agent(Some(OsStr::new("/a"))), Some(PathBuf::from("/a")));
    for useless in [None, Some(""), Some("a")] {
        assert_eq!(ssh_agent(useless.map(OsStr::new)), None);
    }
}
