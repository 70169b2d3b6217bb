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
#[path = "linux/sessions.rs"]
mod sessions;
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
