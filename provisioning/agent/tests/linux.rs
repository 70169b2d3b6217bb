//! The agent as a process, with a directory for its guest, a script for systemd, and a socket for its carrier.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

#[path = "linux/carriers.rs"]
mod carriers;
#[path = "linux/data_disk.rs"]
mod data_disk;
#[path = "linux/exec.rs"]
mod exec;
#[path = "linux/facts.rs"]
mod facts;
#[path = "linux/listeners.rs"]
mod listeners;
#[path = "linux/publish.rs"]
mod publish;
#[path = "linux/sockets.rs"]
mod sockets;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use machine_protocol::boot::{BOOT_FORMAT, BootParameters, DataDisk, HostFacts, SEED_BOOT};
use machine_protocol::link::{
    Hello, Incoming, Link, LinkError, ResetCode, Role, StreamError, connect,
};
use machine_protocol::message::{
    self, AgentEvent, AgentReply, AgentRequest, Engine, LineBuffer, Part, Target,
};
use machine_protocol::secret::Secret;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::process::{Child, Command};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(30);

/// Ends the test that waits for something for too long.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(LIMIT, what).await.expect("it takes too long")
}

/// A guest that is a directory.
struct StubGuest {
    directory: tempfile::TempDir,
    secret: Secret,
    carrier: UnixListener,
}

/// A boot that goes on.
struct Boot {
    /// Its end is this file's beginning.
    over: PathBuf,
}

impl Boot {
    fn end(self) {
        fs_err::write(self.over, "").unwrap();
    }
}

impl StubGuest {
    fn new(rootful: bool) -> Self {
        Self::with_facts(rootful, HostFacts::default())
    }

    fn with_facts(rootful: bool, facts: HostFacts) -> Self {
        Self::with(rootful, facts, None)
    }

    fn with_data_disk(disk: DataDisk) -> Self {
        Self::with(false, HostFacts::default(), Some(disk))
    }

    fn with(rootful: bool, facts: HostFacts, data_disk: Option<DataDisk>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let secret = Secret::generate().unwrap();
        let boot = BootParameters {
            format: BOOT_FORMAT,
            machine: "stub".to_owned(),
            secret: secret.clone(),
            user: "core".to_owned(),
            uid: 1000,
            rootful,
            carriers: Vec::new(),
            host_build: "test".to_owned(),
            facts,
            shares: Vec::new(),
            data_disk,
        };
        let carrier = UnixListener::bind(directory.path().join("carrier")).unwrap();
        fs_err::create_dir_all(directory.path().join("root/run")).unwrap();
        fs_err::write(
            directory.path().join(SEED_BOOT),
            serde_json::to_vec(&boot).unwrap(),
        )
        .unwrap();
        Self {
            directory,
            secret,
            carrier,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join("root").join(name)
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.path("usr/bin").join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Its systemd says that the boot goes on, until it [ends](Boot::end).
    fn boot_goes_on(&self) -> Boot {
        let over = self.path("boot-is-over");
        self.program(
            "systemctl",
            &format!(
                r#"test "$1" = list-units && exit; while ! test -e '{}'; do sleep 0.01; done; echo running"#,
                over.display()
            ),
        );
        Boot { over }
    }

    /// An engine that says `answer` to every connection, and then what it was sent.
    fn engine(&self, socket: &str, answer: &'static str) {
        let path = self.path(socket);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        let listener = UnixListener::bind(path).unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut request = vec![0; 4096];
                    let length = stream.read(&mut request).await.unwrap();
                    stream.write_all(answer.as_bytes()).await.unwrap();
                    stream.write_all(&request[..length]).await.unwrap();
                });
            }
        });
    }

    fn start(&self) -> Child {
        self.start_with(&[])
    }

    fn start_with(&self, more: &[&str]) -> Child {
        let carrier = self.directory.path().join("carrier");
        let carrier = ["--socket", carrier.to_str().unwrap()];
        self.run(&[&carrier, more].concat())
    }

    fn run(&self, options: &[&str]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_machine-agent"))
            .arg("--seed")
            .arg(self.directory.path())
            .arg("--root")
            .arg(self.path(""))
            .args(options)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    async fn connect(&self, secret: &Secret) -> Result<Host, LinkError> {
        let (stream, _) = soon(self.carrier.accept()).await.unwrap();
        Host::new(stream, secret).await
    }

    async fn host(&self) -> Host {
        self.connect(&self.secret).await.unwrap()
    }
}

/// The host's end of a session.
struct Host {
    link: Link,
    driver: JoinHandle<LinkError>,
    events: mpsc::UnboundedReceiver<AgentEvent>,
}

impl Host {
    async fn new(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        secret: &Secret,
    ) -> Result<Self, LinkError> {
        Self::with(stream, secret, drop).await
    }

    /// `other` gets the streams that are not events.
    async fn with(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        secret: &Secret,
        mut other: impl FnMut(Incoming) + Send + 'static,
    ) -> Result<Self, LinkError> {
        let hello = Hello {
            role: Role::Host,
            secret: secret.clone(),
            build: "test".to_owned(),
            carrier: "socket".to_owned(),
        };
        let (link, driver) = soon(connect(stream, &hello, &Notify::new())).await?;
        let driver = tokio::spawn(driver.run());
        let (sender, events) = mpsc::unbounded_channel();
        let agent = link.clone();
        tokio::spawn(async move {
            while let Some(incoming) = agent.incoming().await {
                if incoming.target == Target::AgentEvents {
                    tokio::spawn(read_events(incoming, sender.clone()));
                } else {
                    other(incoming);
                }
            }
        });
        Ok(Self {
            link,
            driver,
            events,
        })
    }

    /// The next event that is not about the health of the stub's parts.
    async fn event(&mut self) -> AgentEvent {
        loop {
            match soon(self.events.recv()).await.unwrap() {
                AgentEvent::Health { .. } => {}
                event => return event,
            }
        }
    }

    /// What the next event about this part says is wrong.
    async fn health(&mut self, wanted: Part) -> Option<String> {
        loop {
            if let AgentEvent::Health { part, problem } = soon(self.events.recv()).await.unwrap()
                && part == wanted
            {
                return problem;
            }
        }
    }

    /// The next events, in any order: the observers do not wait for each other.
    async fn hears(&mut self, mut expected: Vec<AgentEvent>) {
        while !expected.is_empty() {
            let heard = match self.event().await {
                AgentEvent::EngineReady { engine, .. } => AgentEvent::EngineReady {
                    engine,
                    uptime_ms: 0,
                },
                other => other,
            };
            let place = expected.iter().position(|event| *event == heard);
            let place = place.unwrap_or_else(|| panic!("{heard:?} is none of {expected:?}"));
            expected.remove(place);
        }
    }

    /// Sends `bytes` and their end to a target, and reads to the end meanwhile.
    async fn exchange(
        &self,
        target: &Target,
        bytes: &[u8],
    ) -> Result<Vec<u8>, (StreamError, Option<String>)> {
        let (mut from, mut to) = self.link.open(target).unwrap().into_split();
        let sending = async {
            if to.write_all(bytes).await.is_ok() {
                to.finish();
            }
        };
        let receiving = async {
            let mut received = Vec::new();
            loop {
                match from.read().await {
                    Ok(Some(bytes)) => received.extend_from_slice(&bytes),
                    Ok(None) => return Ok(received),
                    Err(error) => return Err((error, from.reset_text())),
                }
            }
        };
        soon(async { tokio::join!(sending, receiving) }).await.1
    }

    async fn ask(&self, request: &AgentRequest) -> AgentReply {
        let line = message::to_line(request).unwrap();
        let reply = self.exchange(&Target::AgentControl, &line).await.unwrap();
        serde_json::from_slice(&reply).unwrap()
    }
}

async fn read_events(incoming: Incoming, sender: mpsc::UnboundedSender<AgentEvent>) {
    let (mut from, _to) = incoming.accept().into_split();
    let mut lines = LineBuffer::default();
    while let Ok(Some(bytes)) = from.read().await {
        lines.push(&bytes);
        while let Some(event) = lines.next_message().unwrap() {
            let _ = sender.send(event);
        }
    }
}

const OK: &str = "HTTP/1.0 200 OK\r\n\r\n";

fn listening(engine: Engine) -> AgentEvent {
    AgentEvent::SocketListening { engine }
}

fn ready(engine: Engine) -> AgentEvent {
    AgentEvent::EngineReady {
        engine,
        uptime_ms: 0,
    }
}

fn boot_finished(state: &str, failed_units: &[&str]) -> AgentEvent {
    AgentEvent::BootFinished {
        state: state.to_owned(),
        failed_units: failed_units.iter().map(|unit| (*unit).to_owned()).collect(),
    }
}

fn terminate(agent: &Child) {
    let pid = agent.id().unwrap().to_string();
    assert!(
        std::process::Command::new("kill")
            .arg(pid)
            .status()
            .unwrap()
            .success()
    );
}

async fn ended(mut agent: Child) -> ExitStatus {
    soon(agent.wait()).await.unwrap()
}

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
