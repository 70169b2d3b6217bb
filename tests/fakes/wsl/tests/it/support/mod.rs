//! A host with the stand-in for WSL, and a distribution of BusyBox alone.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::built::built;

/// The stand-in.
pub(crate) const WSL: &str = env!("CARGO_BIN_EXE_machine-fake-wsl");

/// A host; its distributions end with it.
pub(crate) struct Host {
    home: TempDir,
}

impl Host {
    pub(crate) fn new() -> Self {
        // Sockets lie below it, and their paths are short.
        let home = tempfile::Builder::new()
            .prefix("wsl-")
            .tempdir_in("/tmp")
            .unwrap();
        Self { home }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// What is wrong with its WSL from now on.
    pub(crate) fn conditions(&self, text: &str) {
        fs_err::write(self.path("conditions"), text).unwrap();
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(WSL);
        command
            .args(words)
            .env("FAKE_WSL_HOME", self.home.path())
            .env("WSL_UTF8", "1")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn wsl(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    /// Code and text of a call.
    pub(crate) fn said(&self, words: &[&str]) -> (i32, String) {
        let output = self.wsl(words);
        let text = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), text + &errors)
    }

    /// What was asked of WSL and must not be.
    pub(crate) fn violations(&self) -> String {
        fs_err::read_to_string(self.path("violations")).unwrap_or_default()
    }

    /// A distribution of BusyBox and the given files.
    pub(crate) fn tar(&self, files: &[(&str, &[u8])]) -> PathBuf {
        let path = self.path("rootfs.tar");
        fs_err::write(&path, rootfs(files)).unwrap();
        path
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        drop(fs_err::remove_file(self.path("conditions")));
        for name in self.said(&["--list", "--all", "--quiet"]).1.lines() {
            self.wsl(&["--unregister", name, "--force"]);
        }
    }
}

/// What a small distribution has.
const APPLETS: &[&str] = &[
    "cat", "chmod", "echo", "env", "id", "kill", "mkdir", "mv", "poweroff", "rm", "sed", "setsid",
    "sh", "sleep", "tar", "test", "touch", "true",
];

fn rootfs(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut add =
        |path: &str, kind: tar::EntryType, mode: u32, bytes: &[u8], link: Option<&str>| {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_mode(mode);
            header.set_size(bytes.len() as u64);
            header.set_uid(0);
            header.set_gid(0);
            match link {
                Some(target) => archive.append_link(&mut header, path, target).unwrap(),
                None => archive.append_data(&mut header, path, bytes).unwrap(),
            }
        };
    let directory = tar::EntryType::Directory;
    for path in [
        "bin",
        "dev",
        "etc",
        "etc/systemd",
        "etc/systemd/system",
        "home",
        "proc",
        "root",
        "run",
        "usr",
        "usr/bin",
        "usr/lib",
        "usr/local",
        "usr/local/bin",
        "usr/sbin",
        "var",
    ] {
        add(path, directory, 0o755, b"", None);
    }
    add("tmp", directory, 0o1777, b"", None);
    let busybox =
        fs_err::read("/usr/bin/busybox").expect("busybox-static is installed by `make setup`");
    add(
        "bin/busybox",
        tar::EntryType::Regular,
        0o755,
        &busybox,
        None,
    );
    for applet in APPLETS {
        for place in ["bin", "usr/bin"] {
            let path = format!("{place}/{applet}");
            add(
                &path,
                tar::EntryType::Symlink,
                0o777,
                b"",
                Some("/bin/busybox"),
            );
        }
    }
    let systemctl = "usr/bin/systemctl";
    let to = Some("/run/systemd/systemctl");
    add(systemctl, tar::EntryType::Symlink, 0o777, b"", to);
    let given = |name: &str| files.iter().any(|(path, _)| *path == name);
    let usual: [(&str, &[u8]); 3] = [
        (
            "etc/passwd",
            b"root:x:0:0::/root:/bin/sh\nbin:x:1:1::/:/bin/false\n",
        ),
        ("etc/group", b"root:x:0:\nbin:x:1:\nwheel:x:10:\n"),
        ("etc/shadow", b"root:*:::::::\nbin:*:::::::\n"),
    ];
    let all = usual.iter().filter(|(path, _)| !given(path)).chain(files);
    for (path, bytes) in all {
        let mode = match *path {
            "etc/shadow" => 0o600,
            // The loader of programs is one itself.
            path if path.starts_with("lib") => 0o755,
            _ => 0o644,
        };
        add(path, tar::EntryType::Regular, mode, bytes, None);
    }
    archive.into_inner().unwrap()
}

/// The agent as cargo built it for the tests of its own, and the libraries that it is linked with.
pub(crate) fn agent() -> (Vec<u8>, Vec<PathBuf>) {
    let built = built(WSL, "machine-agent");
    let program = fs_err::read(&built).expect("it was just looked at");
    let listed = Command::new("ldd").arg(&built).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let words = listed.split_whitespace();
    let libraries = words
        .filter(|word| word.starts_with('/'))
        .map(PathBuf::from);
    (program, libraries.collect())
}
