//! The seed tour: every system that a user's guide to Podman names, as a user meets it through a machine.
//!
//! Both real clients, both engines of the one shared machine. An emulated guest takes a second or more for each
//! container, so a check that needs one and does not care which uses [`Engine::container`].

mod build;
mod compose;
mod connections;
mod containers;
mod engine;
mod folders;
mod guest;
mod kube;
mod network;
pub(crate) mod ports;
mod registry;
mod sockets;
mod systemd;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use libtest_mimic::Trial;
pub(crate) use network::word_server;
pub(crate) use ports::{exchange, free_port};

use crate::support;
use crate::support::command::{Finished, run};
use crate::support::home::{BOOT, Home};
use crate::support::shared::{self, IMAGE, docker, podman};

/// An engine of the shared machine and its clients.
pub(crate) struct Engine<'a> {
    pub(crate) rootful: bool,
    pub(crate) home: &'a Home,
    pub(crate) socket: PathBuf,
}

impl Engine<'_> {
    /// `podman-remote` on this engine.
    fn podman(&self) -> Command {
        podman(self.home, &self.socket)
    }

    /// `docker` on this engine.
    fn docker(&self) -> Command {
        docker(self.home, &self.socket)
    }

    /// What `podman-remote` prints on success.
    fn podman_says(&self, arguments: &[&str]) -> String {
        says(self.podman().args(arguments))
    }

    /// What `docker` prints on success.
    fn docker_says(&self, arguments: &[&str]) -> String {
        says(self.docker().args(arguments))
    }

    /// A directory on the host for the files of one check.
    fn directory(&self, name: &str) -> PathBuf {
        let engine = if self.rootful { "rootful" } else { "rootless" };
        let directory = self.home.path().join("tour").join(engine).join(name);
        fs_err::create_dir_all(&directory).expect("a directory can be made");
        directory
    }

    /// A container that waits, with an init process, 64 MiB of memory and no network; made by the first who asks.
    fn container(&self) -> &'static str {
        static MADE: Mutex<BTreeSet<bool>> = Mutex::new(BTreeSet::new());
        let name = "tour";
        let mut made = MADE
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if !made.contains(&self.rootful) {
            let limits = ["--memory", "64m", "--memory-swap", "64m"];
            let mut command = self.podman();
            command.args([
                "run",
                "--detach",
                "--init",
                "--network",
                "none",
                "--name",
                name,
            ]);
            says(command.args(limits).args([IMAGE, "sleep", "100000"]));
            made.insert(self.rootful);
        }
        name
    }
}

/// The end of a command that talks to the engine.
fn ended(command: &mut Command) -> Finished {
    run(command, b"", BOOT)
}

/// What a command prints on success, without the line's end.
fn says(command: &mut Command) -> String {
    ended(command).succeeded().trim_end().to_owned()
}

/// Makes a check of one engine, named by its own socket.
fn with(rootful: bool, check: fn(&Engine<'_>)) {
    static MADE: AtomicBool = AtomicBool::new(false);
    shared::with(|home, socket| {
        let name = if rootful {
            "rootful.podman.sock"
        } else {
            "rootless.podman.sock"
        };
        let socket = socket.with_file_name(name);
        // The other engine has the image already.
        if rootful && !MADE.swap(true, Ordering::Relaxed) {
            shared::import_busybox(home, &socket);
        }
        check(&Engine {
            rootful,
            home,
            socket,
        });
    });
}

/// A check of each engine.
fn each(name: &'static str, check: fn(&Engine<'_>)) -> Vec<Trial> {
    [("rootless", false), ("rootful", true)]
        .into_iter()
        .map(|(engine, rootful)| {
            support::trial(&format!("tour::{engine}::{name}"), move || {
                with(rootful, check);
            })
        })
        .collect()
}

/// A check of the rootless engine alone.
fn rootless(name: &'static str, check: fn(&Engine<'_>)) -> Trial {
    support::trial(&format!("tour::rootless::{name}"), move || {
        with(false, check);
    })
}

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    trials.extend(engine::trials());
    trials.extend(guest::trials());
    trials.extend(containers::trials());
    trials.extend(folders::trials());
    trials.extend(sockets::trials());
    trials.extend(network::trials());
    trials.extend(ports::trials());
    trials.extend(build::trials());
    trials.extend(support::for_full(compose::trials()));
    trials.extend(support::for_full(kube::trials()));
    trials.extend(support::for_full(systemd::trials()));
    trials.extend(support::for_full(registry::trials()));
    trials.extend(support::for_full(connections::trials()));
    trials
}
