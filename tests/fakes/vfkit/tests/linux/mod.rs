//! A user with the stand-ins of vfkit, krunkit and gvproxy.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use fs_err as fs;
use libtest_mimic::Arguments;
use machine::machine::ProviderKind;
use machine::provider::apple::AppleProvider;
use machine::provider::{Capabilities, Provider as _};

use crate::built::built;
use crate::common::place::Place;
use crate::contract::{self, Bench, NAME};

const FAKE: &str = env!("CARGO_BIN_EXE_machine-fake-vfkit");

pub(crate) fn main() -> ExitCode {
    let mut trials = contract::trials("vfkit", true, |_| User::new(AppleProvider::vfkit()));
    trials.extend(contract::trials("krunkit", true, |_| {
        User::new(AppleProvider::krunkit())
    }));
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

struct User {
    provider: AppleProvider,
    place: Place,
    directory: tempfile::TempDir,
}

impl User {
    fn new(provider: AppleProvider) -> Self {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let root = directory.path().to_owned();
        for part in ["bin", "agent", "home"] {
            fs::create_dir(root.join(part)).expect("a directory can be made");
        }
        for name in ["vfkit", "krunkit", "gvproxy"] {
            let linked = std::os::unix::fs::symlink(FAKE, root.join("bin").join(name));
            linked.expect("a link can be made");
        }
        let agent = format!("agent/machine-agent-{}", std::env::consts::ARCH);
        fs::copy(built(FAKE, "machine-agent"), root.join(agent)).expect("the agent is built");
        let mut disk = vec![0; 1 << 20];
        disk[510..512].copy_from_slice(b"\x55\xaa");
        fs::write(root.join("disk.raw"), disk).expect("a file can be written");
        let environment = vec![
            ("PATH", "/usr/bin:/bin".into()),
            ("HOME", root.join("home").into_os_string()),
            ("MACHINE_AGENT_DIR", root.join("agent").into_os_string()),
            (
                "CONTAINERS_HELPER_BINARY_DIR",
                root.join("bin").into_os_string(),
            ),
            ("CONTAINERS_MACHINE_PROVIDER", provider.kind().word().into()),
            ("MACHINE_FOREIGN_PROVIDERS", "1".into()),
        ];
        let place = Place {
            program: built(FAKE, "machine"),
            machines: root.join("home/.local/share/machine/machines"),
            connections: root.join("home/.config/containers/podman-connections.json"),
            environment,
            through: None,
            root,
        };
        Self {
            provider,
            place,
            directory,
        }
    }

    /// What the program does wrong from its next start on.
    fn mischief(&self, words: &str) {
        let file = self.directory.path().join("bin/mischief");
        fs::write(file, words).expect("it can be written");
    }
}

impl Bench for User {
    fn capabilities(&self) -> &'static Capabilities {
        self.provider.capabilities()
    }

    fn place(&self) -> &Place {
        &self.place
    }

    fn init(&self) {
        let image = self.image();
        let words = ["init", "--cpus", "1", "--disk-size", "1", "--volume", ""];
        self.machine(&[&words, &["--image", &image, NAME][..]].concat());
        self.without_data_disk();
    }

    fn program(&self) -> &'static str {
        match self.provider.kind() {
            ProviderKind::LibKrun => "/krunkit --cpus",
            _ => "/vfkit --cpus",
        }
    }

    fn stall(&self, stalled: bool) {
        self.mischief(if stalled { "silent-rest" } else { "" });
    }

    /// krunkit has no such thing.
    fn pause(&self, paused: bool) -> bool {
        if self.provider.kind() == ProviderKind::LibKrun {
            return false;
        }
        let sockets = self.place.machine_dir(NAME).join("qmp.sock");
        let mut stream = UnixStream::connect(sockets).expect("its service listens");
        let wish = if paused { "Pause" } else { "Resume" };
        let body = format!("{{\"state\":\"{wish}\"}}");
        let length = body.len();
        let head =
            format!("POST /vm/state HTTP/1.0\r\nHost: vm\r\nContent-Length: {length}\r\n\r\n");
        stream
            .write_all(format!("{head}{body}").as_bytes())
            .expect("it listens");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        assert!(answer.contains(" 202 "), "{answer}");
        true
    }

    fn image(&self) -> String {
        let image = self.directory.path().join("disk.raw");
        image.to_str().expect("the path is text").to_owned()
    }
}

/// Leaves nothing of a test that failed.
impl Drop for User {
    fn drop(&mut self) {
        self.place.end_all();
    }
}
