//! `machine` with the fakes in the place of vfkit and krunkit: whole lives of machines, through the command line.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Output};

use fs_err as fs;

const FAKE: &str = env!("CARGO_BIN_EXE_machine-fake-vfkit");

#[path = "../../built.rs"]
mod built;

/// A program of another crate of the workspace, as `cargo test --workspace` builds it.
fn built(name: &str) -> PathBuf {
    built::built(FAKE, name)
}

/// A user with these programs and nothing else.
struct User(tempfile::TempDir);

impl User {
    fn new() -> Self {
        let user = Self(tempfile::tempdir().unwrap());
        for directory in ["bin", "agent", "home"] {
            fs::create_dir(user.path(directory)).unwrap();
        }
        for name in ["vfkit", "krunkit", "gvproxy"] {
            std::os::unix::fs::symlink(FAKE, user.path("bin").join(name)).unwrap();
        }
        let agent = format!("agent/machine-agent-{}", std::env::consts::ARCH);
        fs::copy(built("machine-agent"), user.path(&agent)).unwrap();
        let mut disk = vec![0; 1 << 20];
        disk[510..512].copy_from_slice(b"\x55\xaa");
        fs::write(user.path("disk.raw"), disk).unwrap();
        user
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path("home/.local/share/machine/machines/m").join(name)
    }

    fn command(&self, words: &str) -> Command {
        let mut command = Command::new(built("machine"));
        command
            .args(words.split(' '))
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.path("home"))
            .env("MACHINE_AGENT_DIR", self.path("agent"))
            .env("CONTAINERS_HELPER_BINARY_DIR", self.path("bin"))
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

    fn init(&self, provider: &str) {
        let image = self.path("disk.raw");
        let image = image.display();
        self.succeeds(&format!(
            "init --provider {provider} --volume= --image {image} m"
        ));
        // The fake's kernel mounts no disks.
        let config = fs::read_to_string(self.file("machine.toml")).unwrap();
        let config = config.replace("data_disk = \"own\"\n", "");
        fs::write(self.file("machine.toml"), config).unwrap();
    }

    fn mischief(&self, words: &str) {
        fs::write(self.path("bin/mischief"), words).unwrap();
    }

    /// The answer of the engine in the guest, through everything.
    fn echo(&self, bytes: &str) -> String {
        let mut stream = UnixStream::connect(self.file("podman.sock")).unwrap();
        let length = bytes.len();
        write!(
            stream,
            "POST /echo HTTP/1.1\r\nHost: d\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{bytes}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    fn vm(&self) -> u64 {
        let record = fs::read(self.file("vm.json")).unwrap();
        let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
        record["process"]["pid"].as_u64().unwrap()
    }

    /// Processes of this user: their command lines name its directory.
    fn processes(&self) -> Vec<(u64, String)> {
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let own = self.0.path().display().to_string();
        entries
            .filter_map(|entry| {
                let pid = entry.file_name().to_str()?.parse().ok()?;
                let line = fs::read(entry.path().join("cmdline")).ok()?;
                let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
                let line = String::from_utf8_lossy(&line).replace('\0', " ");
                let is_ours =
                    line.contains(&own) || String::from_utf8_lossy(&environment).contains(&own);
                (is_ours && !line.is_empty()).then_some((pid, line))
            })
            .collect()
    }

    fn supervisor(&self) -> u64 {
        let processes = self.processes();
        let found = processes
            .iter()
            .find(|(_, line)| line.contains(" supervise "));
        found.expect("a supervisor runs").0
    }

    /// Nothing runs any more, within a moment.
    fn is_quiet(&self) {
        let mut processes = self.processes();
        for _ in 0..200 {
            if processes.is_empty() {
                return;
            }
            wait_a_moment();
            processes = self.processes();
        }
        assert_eq!(processes, []);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the end of another's process has no event here"
)]
fn wait_a_moment() {
    std::thread::sleep(std::time::Duration::from_millis(50));
}

fn kill(pid: u64) {
    let killed = Command::new("kill")
        .args(["-KILL", &pid.to_string()])
        .status();
    assert!(killed.unwrap().success());
}

/// Leaves nothing of a test that failed.
impl Drop for User {
    fn drop(&mut self) {
        for (pid, _) in self.processes() {
            // It may have ended.
            let _ = Command::new("kill")
                .args(["-KILL", &pid.to_string()])
                .output();
        }
    }
}

fn whole_life(provider: &str) {
    let user = User::new();
    user.init(provider);
    // The first boot asks for its configuration, the second does not.
    for asked in [true, false] {
        let said = user.succeeds("start m");
        assert!(
            said.ends_with("Machine \"m\" started successfully\n"),
            "{said}"
        );
        assert_eq!(user.echo("through everything"), "through everything");
        let console = fs::read_to_string(user.file("console.log")).unwrap();
        assert_eq!(console.contains("Ignition: ran"), asked, "{console}");
        // Other processes of the guest do not get it any more.
        assert!(!user.file("vsock.sock_1024").exists());
        user.succeeds("stop m");
        user.is_quiet();
        let left = fs::read_dir(user.file("")).unwrap().flatten();
        let left: Vec<_> = left.map(|entry| entry.file_name()).collect();
        let is_socket = |name: &std::ffi::OsString| name.to_string_lossy().contains("sock");
        assert!(!left.iter().any(is_socket), "{left:?}");
    }
    user.succeeds("rm -f m");
    assert!(!user.file("").exists());
}

#[test]
fn a_machine_by_vfkit() {
    whole_life("applehv");
}

#[test]
fn a_machine_by_krunkit() {
    whole_life("libkrun");
}

#[test]
fn a_vm_outlives_its_supervisor_and_is_taken_over() {
    for provider in ["applehv", "libkrun"] {
        let user = User::new();
        user.init(provider);
        user.succeeds("start m");
        let vm = user.vm();
        kill(user.supervisor());
        user.succeeds("start m");
        assert_eq!(user.vm(), vm, "{provider}");
        assert_eq!(user.echo("again"), "again");
        user.succeeds("stop m");
        user.is_quiet();
    }
}

#[test]
fn a_vm_that_dies_is_told_and_starts_again() {
    let user = User::new();
    user.init("applehv");
    user.succeeds("start m");
    kill(user.vm());
    user.is_quiet();
    let events = fs::read_to_string(user.file("events.jsonl")).unwrap();
    assert!(events.contains("\"failed\""), "{events}");
    assert!(events.contains("signal: 9"), "{events}");
    user.succeeds("start m");
    user.succeeds("stop m");
    user.is_quiet();
}

/// Each ends in a sentence, with exit code 125, and nothing runs on.
#[test]
fn what_is_wrong_with_the_program_is_said() {
    let user = User::new();
    user.init("applehv");
    for (mischief, said) in [
        (
            "version 0.5.1",
            "is vfkit 0.5.1, and at least 0.6.0 is needed",
        ),
        (
            "version 0.5.1",
            "hint: Install a newer one with `brew upgrade vfkit`",
        ),
        ("mute", "did not tell its version"),
        ("refuse missing entitlement", "missing entitlement"),
        ("die-at configured", "before the machine ran"),
        ("die-at ignition", "by signal"),
        ("die-at agent", "by signal"),
        ("silent-rest", "did not answer within 5 s"),
        ("no-rest", "did not answer within 10 s"),
    ] {
        user.mischief(mischief);
        let error = user.fails("start m");
        assert!(error.contains(said), "{mischief}: {error}");
        user.is_quiet();
    }
    fs::remove_file(user.path("bin/vfkit")).unwrap();
    let error = user.fails("start m");
    assert!(error.contains("`vfkit` was not found"), "{error}");
    assert!(error.contains("brew install vfkit"), "{error}");
}

/// Each ends in a sentence that says what to do, with exit code 125, before anything of a machine is made.
#[test]
fn a_program_that_cannot_be_used_gets_no_machine() {
    let user = User::new();
    let image = user.path("disk.raw");
    let words = |name: &str| {
        let image = image.display();
        format!("init --provider applehv --volume= --image {image} {name}m")
    };
    for (mischief, said) in [
        (
            "version 0.5.1",
            "hint: Install a newer one with `brew upgrade vfkit`",
        ),
        ("mute", "hint: See whether macOS lets it run"),
        ("unsigned", "ended with signal: 9"),
        ("unsigned", "`brew reinstall vfkit`"),
    ] {
        user.mischief(mischief);
        let error = user.fails(&words(""));
        assert!(error.contains(said), "{mischief}: {error}");
        assert!(!user.path("home/.local/share/machine/machines/m").exists());
    }
    user.mischief("");
    let disk = fs::File::create(user.path("data,1.raw")).unwrap();
    disk.set_len(1 << 30).unwrap();
    let disk = format!("--data-disk {} ", user.path("data,1.raw").display());
    let error = user.fails(&words(&disk));
    assert!(error.contains("there is `,` in it"), "{error}");
    // It can be told of no file in this home, however long the names of its sockets may be.
    let home = user.path("a,b");
    let mut command = user.command(&words(""));
    let output = command.env("MACHINE_HOME", &home).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(125));
    assert!(error.contains("hint: Put it where no folder"), "{error}");
    fs::remove_file(user.path("bin/vfkit")).unwrap();
    let error = user.fails(&words(""));
    assert!(
        error.contains("hint: Install it with `brew install vfkit`"),
        "{error}"
    );
    assert!(!user.file("").exists());
    // One that is there and whose framework refuses it shows that when it starts.
    std::os::unix::fs::symlink(FAKE, user.path("bin/vfkit")).unwrap();
    user.init("applehv");
    user.mischief(
        "refuse the process doesn't have the \"com.apple.security.virtualization\" entitlement",
    );
    let error = user.fails("start m");
    assert!(
        error.contains("was not signed so that it may run virtual machines"),
        "{error}"
    );
}

/// Where it cannot be had the start says why, and goes on.
#[test]
fn rosetta_is_asked_for_where_it_can_be_had() {
    for (provider, missing) in [
        (
            "applehv",
            "only a Mac with a processor of Apple's has Rosetta",
        ),
        (
            "libkrun",
            "machines of the provider `libkrun` have no Rosetta",
        ),
    ] {
        let user = User::new();
        user.init(provider);
        fs::create_dir_all(user.path("home/.config/containers")).unwrap();
        let conf = user.path("home/.config/containers/containers.conf");
        fs::write(&conf, "[machine]\nrosetta = true\n").unwrap();
        let started = user.run("start m");
        assert!(started.status.success());
        let said = String::from_utf8([started.stdout, started.stderr].concat()).unwrap();
        let line = fs::read(format!("/proc/{}/cmdline", user.vm())).unwrap();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let has_rosetta = line.contains("--device rosetta,mountTag=rosetta,install ");
        let can_have = provider == "applehv" && std::env::consts::ARCH == "aarch64";
        assert_eq!(has_rosetta, can_have, "{line}");
        assert_eq!(said.contains(missing), !can_have, "{said}");
        user.succeeds("stop m");
        // It is read at each start.
        fs::write(&conf, "[machine]\nrosetta = false\n").unwrap();
        let started = user.run("start m");
        let said = String::from_utf8([started.stdout, started.stderr].concat()).unwrap();
        assert!(
            started.status.success() && !said.contains("Rosetta"),
            "{said}"
        );
        user.succeeds("stop m");
        user.is_quiet();
    }
}

#[test]
fn a_host_refuses_the_providers_of_others() {
    let user = User::new();
    let mut command = user.command("init --provider applehv m");
    let output = command
        .env_remove("MACHINE_FOREIGN_PROVIDERS")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(125));
    assert_eq!(said, "Error: unsupported provider \"applehv\"\n");
}
