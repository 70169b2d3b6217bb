//! `machine` with the stand-in in the place of WSL: whole lives of machines, through the command line.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{Host, WSL, agent};

/// A user whose WSL is the stand-in.
struct User {
    host: Host,
    over: Arc<AtomicBool>,
}

impl User {
    fn new() -> Self {
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
        let user = Self {
            host,
            over: Arc::default(),
        };
        user.serve_engines();
        user
    }

    fn file(&self, name: &str) -> PathBuf {
        let machine = "home/.local/share/machine/machines/m";
        self.host.path(machine).join(name)
    }

    fn command(&self, words: &str) -> Command {
        let mut command = Command::new(Path::new(WSL).with_file_name("machine"));
        command
            .args(words.split(' '))
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", self.host.path("home"))
            .env("MACHINE_AGENT_DIR", self.host.path("agent"))
            .env("CONTAINERS_HELPER_BINARY_DIR", self.host.path("bin"))
            .env("CONTAINERS_MACHINE_PROVIDER", "wsl")
            .env("MACHINE_FOREIGN_PROVIDERS", "1");
        command
    }

    fn run(&self, words: &str) -> Output {
        self.command(words).output().unwrap()
    }

    fn succeeds(&self, words: &str) -> String {
        let output = self.run(words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What it says, which ends with exit code 125.
    fn fails(&self, words: &str) -> String {
        let output = self.run(words);
        assert_eq!(output.status.code(), Some(125), "{words}");
        String::from_utf8(output.stderr).unwrap()
    }

    fn init(&self) {
        let image = self.host.path("rootfs.tar");
        self.succeeds(&format!("init --volume= --image {} m", image.display()));
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
                    let socket = run.join(socket);
                    if !socket.exists() {
                        engine(&socket);
                    }
                }
            }
        });
    }

    fn ping(&self) -> String {
        let mut stream = UnixStream::connect(self.file("podman.sock")).unwrap();
        stream
            .write_all(b"GET /_ping HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn distributions(&self) -> String {
        self.host.said(&["--list", "--all", "--quiet"]).1
    }
}

impl Drop for User {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // It may be gone, or never have been.
        drop(self.run("rm -f m"));
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the stand-in's files have no events here"
)]
fn wait_a_moment() {
    std::thread::sleep(std::time::Duration::from_millis(50));
}

/// An engine that knows one answer. It ends with the test.
fn engine(socket: &Path) {
    let made = fs_err::create_dir_all(socket.parent().unwrap());
    // The instance may be on its way out.
    let Ok(listener) = made.and_then(|()| UnixListener::bind(socket)) else {
        return;
    };
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            std::thread::spawn(move || {
                let mut request = [0; 4096];
                if client.read(&mut request).is_ok_and(|length| length > 0) {
                    let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\
                                  Connection: close\r\n\r\nOK";
                    drop(client.write_all(answer.as_bytes()));
                }
            });
        }
    });
}

#[test]
fn a_whole_life() {
    let user = User::new();
    user.init();
    assert_eq!(user.distributions(), "");
    for _ in 0..2 {
        let said = user.succeeds("start m");
        assert!(
            said.ends_with("Machine \"m\" started successfully\n"),
            "{said}"
        );
        let answer = user.ping();
        assert!(answer.ends_with("\r\n\r\nOK"), "{answer}");
        let listed = user.succeeds("list --format {{.Name}}|{{.VMType}}|{{.Running}}");
        assert_eq!(listed, "m*|wsl|true\n");
        user.succeeds("stop m");
        let running = user.host.said(&["--list", "--running", "--quiet"]).1;
        assert_eq!(running, "");
    }
    // One import for both.
    let calls = fs_err::read_to_string(user.host.path("calls")).unwrap();
    assert_eq!(calls.matches("--import").count(), 1, "{calls}");
    let name = user.distributions();
    assert!(name.starts_with("machine-m-"), "{name}");
    user.succeeds("rm -f m");
    assert!(!user.file("").exists());
    assert_eq!(user.distributions(), "");
    assert_eq!(user.host.violations(), "");
}

/// Each ends in a sentence, with exit code 125, and nothing is imported.
#[test]
fn what_is_wrong_with_wsl_is_said() {
    let user = User::new();
    user.init();
    for (condition, said) in [
        ("not-installed", "hint: Run `wsl --install"),
        ("version 0.66.2.0", "hint: Run `wsl --update`"),
        ("version-1-only", "version 1 alone"),
        ("no-virtualization", "virtualization is off"),
        ("reboot-pending", "hint: Restart Windows"),
        ("disk-full", "has no room"),
    ] {
        user.host.conditions(condition);
        let error = user.fails("start m");
        assert!(error.contains(said), "{condition}: {error}");
        user.host.conditions("");
        assert_eq!(user.distributions(), "", "{condition}");
    }
    // Half of one is made whole.
    user.host.conditions("import-dies");
    user.fails("start m");
    user.host.conditions("");
    user.succeeds("start m");
    user.succeeds("stop m");
    // One that the user removed is not made anew behind his back.
    let name = user.distributions();
    user.host.said(&["--unregister", name.trim(), "--force"]);
    let error = user.fails("start m");
    assert!(error.contains("any more"), "{error}");
    // Without what was noted, one of that name is somebody's, and stays.
    user.succeeds("rm -f m");
    let image = user.host.path("rootfs.tar");
    let place = user.host.path("theirs");
    let (place, image) = (place.to_str().unwrap(), image.to_str().unwrap());
    let import = ["--import", name.trim(), place, image, "--version", "2"];
    assert_eq!(user.host.said(&import).0, 0);
    user.init();
    let error = user.fails("start m");
    assert!(error.contains("is not of this machine"), "{error}");
    user.succeeds("rm -f m");
    assert_eq!(user.distributions(), name);
}

#[test]
fn an_image_that_is_no_tree_makes_no_machine() {
    let user = User::new();
    let image = user.host.path("disk.raw");
    let mut disk = vec![0; 1 << 20];
    disk[510..512].copy_from_slice(b"\x55\xaa");
    fs_err::write(&image, disk).unwrap();
    let error = user.fails(&format!("init --image {} m", image.display()));
    assert!(error.contains("is no tar archive"), "{error}");
    assert!(!user.file("").exists());
}
