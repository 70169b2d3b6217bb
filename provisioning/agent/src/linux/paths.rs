//! Where things lie in the guest, below what stands for its `/`.

use std::path::{Path, PathBuf};

use machine_protocol::message::Engine;

/// Not in the directory of our own, which is root's alone.
const MACHINE_MARKER: &str = "run/podman-machine";
/// The same as the guest's own programs see it.
pub(super) const MACHINE_MARKER_TARGET: &str = "/run/podman-machine";

/// All paths that the agent touches.
#[derive(Debug)]
pub(super) struct Paths {
    root: PathBuf,
    uid: u32,
}

impl Paths {
    pub(super) fn new(root: PathBuf, uid: u32) -> Self {
        Self { root, uid }
    }

    /// What stands for the guest's `/`.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The API socket of an engine.
    pub(super) fn engine_socket(&self, engine: Engine) -> PathBuf {
        match engine {
            Engine::Rootful => self.root.join("run/podman/podman.sock"),
            Engine::Rootless => self
                .root
                .join(format!("run/user/{}/podman/podman.sock", self.uid)),
        }
    }

    /// The link by which systemd tells the present start of an engine's service.
    pub(super) fn engine_invocation(&self, engine: Engine) -> PathBuf {
        let runtime = match engine {
            Engine::Rootful => self.root.join("run"),
            Engine::Rootless => self.root.join(format!("run/user/{}", self.uid)),
        };
        runtime.join("systemd/units/invocation:podman.service")
    }

    /// Where Docker's clients look.
    pub(super) fn docker_socket(&self) -> PathBuf {
        self.root.join("run/docker.sock")
    }

    /// The file that OpenSSH's server writes once it listens.
    pub(super) fn ssh_server_sign(&self) -> PathBuf {
        self.root.join("run/sshd.pid")
    }

    /// Where name servers are listed.
    pub(super) fn resolver_configuration(&self) -> PathBuf {
        self.root.join("etc/resolv.conf")
    }

    /// Which services glibc asks for names.
    pub(super) fn name_services(&self) -> PathBuf {
        self.root.join("etc/nsswitch.conf")
    }

    /// What root's engine gets into its environment; the Ignition configuration names the same file.
    pub(super) fn engine_environment(&self) -> PathBuf {
        self.root.join("run/machine/engine.env")
    }

    /// Which ports are published.
    pub(super) fn published_ports(&self) -> PathBuf {
        self.root.join("run/machine/ports.json")
    }

    /// Names that need no server.
    pub(super) fn hosts(&self) -> PathBuf {
        self.root.join("etc/hosts")
    }

    /// The file by which engines know that ports can be published.
    pub(super) fn machine_marker(&self) -> PathBuf {
        self.root.join(MACHINE_MARKER)
    }

    /// Where the engines keep what the user made, if it is not on a disk of its own.
    pub(super) fn storage(&self) -> PathBuf {
        self.root.join("var")
    }

    /// Where that disk is mounted.
    pub(super) fn data_disk(&self) -> PathBuf {
        self.root.join("var/lib/machine/data")
    }

    /// The file by which an agent knows that one of this boot has had systemd read the quadlets on that disk.
    pub(super) fn quadlets_read(&self) -> PathBuf {
        self.root.join("run/machine/quadlets-read")
    }

    /// A program of the guest.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.root.join("usr/bin").join(name)
    }
}

/// The engine that the machine's user asked for.
pub(super) fn chosen_engine(rootful: bool) -> Engine {
    if rootful {
        Engine::Rootful
    } else {
        Engine::Rootless
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_a_guest_and_in_a_stand_in() {
        let guest = Paths::new("/".into(), 1234);
        assert_eq!(
            guest.engine_socket(Engine::Rootful),
            Path::new("/run/podman/podman.sock")
        );
        assert_eq!(
            guest.engine_socket(Engine::Rootless),
            Path::new("/run/user/1234/podman/podman.sock")
        );
        let stand_in = Paths::new("/tmp/g".into(), 0);
        assert_eq!(
            stand_in.docker_socket(),
            Path::new("/tmp/g/run/docker.sock")
        );
        assert_eq!(
            stand_in.program("systemctl"),
            Path::new("/tmp/g/usr/bin/systemctl")
        );
    }
}
