//! A user whose WSL is the stand-in.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::built::built;
use crate::common::place::Place;
use crate::support::{Host, WSL, agent};

/// How long a command may take.
const LIMIT: Duration = Duration::from_mins(1);

/// A user; the guest's engines are served by the test's own process.
pub(crate) struct User {
    pub(crate) host: Host,
    pub(crate) place: Place,
    over: Arc<AtomicBool>,
}

impl User {
    pub(crate) fn new() -> Self {
        let host = Host::new();
        for directory in ["bin", "agent", "home"] {
            fs_err::create_dir(host.path(directory)).unwrap();
        }
        let home = host.path("");
        let home = home.display();
        let script = format!("#!/bin/sh\nFAKE_WSL_HOME={home} exec {WSL} \"$@\"\n");
        let program = host.path("bin/wsl");
        fs_err::write(&program, script).unwrap();
        fs_err::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let (program, libraries) = agent();
        let name = format!("agent/machine-agent-{}", std::env::consts::ARCH);
        fs_err::write(host.path(&name), program).unwrap();
        let read = |path: &PathBuf| {
            let inside = path.to_str().unwrap().trim_start_matches('/');
            (inside.to_owned(), fs_err::read(path).unwrap())
        };
        let mut files: Vec<_> = libraries.iter().map(read).collect();
        files.push(("usr/lib/systemd/systemd".to_owned(), Vec::new()));
        let files: Vec<(&str, &[u8])> = files
            .iter()
            .map(|(path, bytes)| (path.as_str(), bytes.as_slice()))
            .collect();
        host.tar(&files);
        let environment = vec![
            ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin".into()),
            ("HOME", host.path("home").into_os_string()),
            ("MACHINE_AGENT_DIR", host.path("agent").into_os_string()),
            (
                "CONTAINERS_HELPER_BINARY_DIR",
                host.path("bin").into_os_string(),
            ),
            ("CONTAINERS_MACHINE_PROVIDER", "wsl".into()),
            ("MACHINE_FOREIGN_PROVIDERS", "1".into()),
        ];
        let place = Place {
            program: built(WSL, "machine"),
            machines: host.path("home/.local/share/machine/machines"),
            connections: host.path("home/.config/containers/podman-connections.json"),
            environment,
            through: None,
            root: host.path("").components().collect(),
        };
        let user = Self {
            host,
            place,
            over: Arc::default(),
        };
        user.serve_engines();
        user
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.place.machine_dir("m").join(name)
    }

    pub(crate) fn succeeds(&self, words: &str) -> String {
        let words: Vec<_> = words.split(' ').collect();
        self.place.machine(&words, LIMIT).succeeded()
    }

    pub(crate) fn init(&self) {
        let image = self.host.path("rootfs.tar");
        self.succeeds(&format!(
            "init --volume= --cpus 1 --image {} m",
            image.display()
        ));
    }

    /// The guest's engines, from outside: whenever its `/run` is there without them.
    fn serve_engines(&self) {
        let run = self.file("provider/disk/rootfs/run");
        let over = Arc::clone(&self.over);
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                wait_a_moment();
                if !run.join("machine/seed").exists() {
                    continue;
                }
                for socket in ["podman/podman.sock", "user/1000/podman/podman.sock"] {
                    if !run.join(socket).exists() {
                        engine(&run, socket);
                    }
                }
            }
        });
    }
}

impl Drop for User {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        self.host.conditions("");
        self.place.end_all();
        // Its distributions end with the host.
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the stand-in's files have no events here"
)]
pub(super) fn wait_a_moment() {
    std::thread::sleep(Duration::from_millis(50));
}

/// An engine that is there, and sends back what is posted to it. It ends with the test.
fn engine(run: &Path, place: &str) {
    // The instance may be on its way out, so nothing is made above its `/run`.
    let mut directory = run.to_owned();
    for part in Path::new(place).parent().into_iter().flatten() {
        directory.push(part);
        drop(fs_err::create_dir(&directory));
    }
    let Ok(listener) = UnixListener::bind(run.join(place)) else {
        return;
    };
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // A client that hangs up is no news.
            std::thread::spawn(move || drop(answer(client)));
        }
    });
}

/// Requests one after the other, as long as the client has some.
fn answer(mut client: UnixStream) -> std::io::Result<()> {
    let mut asked = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let read = client.read(&mut piece)?;
        if read == 0 {
            return Ok(());
        }
        asked.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&asked);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "));
        let length = length.and_then(|length| length.parse().ok()).unwrap_or(0);
        if body.len() < length {
            continue;
        }
        let is_echo = head.starts_with("POST /echo");
        let said = if is_echo { body } else { "OK" };
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json";
        write!(
            client,
            "{head}\r\nContent-Length: {}\r\n\r\n{said}",
            said.len()
        )?;
        if text.contains("Connection: close") {
            return Ok(());
        }
        asked.clear();
    }
}
