//! In which guest a table is played: the real one, or the stub of tests/stub-guest, which runs the same agent and is up in
//! seconds, but has no containers.

use std::path::Path;

use super::bed::NAME;
use super::table::Actor;
use crate::support::command::run;
use crate::support::home::{BOOT, Home, SOON};
use crate::support::shared::{IMAGE, import_busybox, podman};
use crate::tour::exchange;

/// Where the stub sends back what comes, and the container does.
const ECHO: u16 = 7;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guest {
    Real,
    Stub,
}

impl Guest {
    /// Makes the machine, with these options besides.
    pub(super) fn init(self, home: &Home, more: &[&str], port: u16) {
        match self {
            Self::Real => home.init(NAME, more),
            Self::Stub => {
                home.init_stub(NAME, more);
                let port = format!("{port}:{ECHO}");
                home.machine(&["port", "add", &port, NAME], SOON)
                    .succeeded();
            }
        }
    }

    /// Has something in the guest that has to outlive whatever the VM outlives; `socket` is the engine's.
    pub(super) fn has_keeper(self, home: &Home, socket: &Path, port: u16) {
        if self == Self::Stub {
            return;
        }
        let ask = |words: &[&str]| run(podman(home, socket).args(words), b"", BOOT);
        if ask(&["start", "keeper"]).status.success() {
            return;
        }
        import_busybox(home, socket);
        let published = format!("{port}:{ECHO}");
        let keeper = [
            &["run", "--detach", "--name", "keeper", "-p", &published][..],
            &[IMAGE, "nc", "-ll", "-p", "7", "-e", "cat"],
        ];
        ask(&keeper.concat()).succeeded();
    }

    /// Which it is, and since when it runs.
    pub(super) fn keeper(self, home: &Home, socket: &Path) -> String {
        match self {
            Self::Real => {
                let format = "{{.Id}} {{.State.StartedAt}} {{.State.Running}}";
                let words = ["inspect", "--format", format, "keeper"];
                run(podman(home, socket).args(words), b"", BOOT).succeeded()
            }
            Self::Stub => home
                .machine(&["exec", NAME, "cat", "/run/boot-id"], BOOT)
                .succeeded(),
        }
    }

    /// Its port leads to it.
    pub(super) fn echoes(port: u16) -> bool {
        let address = format!("127.0.0.1:{port}");
        exchange(&address, b"echo").is_ok_and(|answer| answer == b"echo")
    }

    /// What root runs in the guest to have these killed in a second, by something that is not killed with them.
    pub(super) fn killing(self, actors: &[Actor]) -> Option<Vec<String>> {
        let kill = |actor: &Actor| match (self, actor) {
            (Self::Real, Actor::Engine) => Some("pkill -KILL -f '[p]odman.* system service'"),
            (Self::Real, Actor::Agent) => {
                Some("systemctl kill --kill-whom=main -s KILL machine-agent.service")
            }
            (Self::Stub, Actor::Engine) => Some("pkill -KILL -f '^engine /run'"),
            (Self::Stub, Actor::Agent) => Some("pkill -KILL -f '^/run/machine/seed/agent'"),
            _ => None,
        };
        let kills: Vec<_> = actors.iter().filter_map(kill).collect();
        if kills.is_empty() {
            return None;
        }
        let line = format!("sleep 1; {}", kills.join("; "));
        let words = match self {
            Self::Real => vec![
                "systemd-run".into(),
                "--quiet".into(),
                "--no-block".into(),
                "sh".into(),
                "-c".into(),
                line,
            ],
            Self::Stub => {
                let apart = "setsid sh -c \"$1\" </dev/null >/dev/null 2>&1 &";
                ["sh", "-c", apart, "sh", &line].map(str::to_owned).to_vec()
            }
        };
        Some(words)
    }
}
