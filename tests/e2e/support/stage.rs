//! Where the parts lie that the tests need. `tests/run-e2e` lays them out and names the directory in
//! `MACHINE_E2E_STAGE`:
//!
//! ```text
//! bin/: machine machine-agent-ARCH vhost-device-vsock virtiofsd gvproxy podman-remote docker docker-compose docker-registry
//!       busybox
//! guest.qcow2  stub.qcow2  images/systemd.tar
//! ```

use std::path::PathBuf;
use std::sync::LazyLock;

use super::lane::Lane;
pub(crate) use crate::common::place::processes_naming;

static STAGE: LazyLock<Stage> = LazyLock::new(|| {
    let root = std::env::var_os("MACHINE_E2E_STAGE")
        .expect("MACHINE_E2E_STAGE names the stage: run `tests/run-e2e`");
    Stage {
        root: PathBuf::from(root),
    }
});

/// The directory with all parts.
pub(crate) struct Stage {
    root: PathBuf,
}

impl Stage {
    /// The stage of this run.
    pub(crate) fn get() -> &'static Self {
        &STAGE
    }

    /// Fails unless every part is there.
    pub(crate) fn check() {
        let stage = Self::get();
        for part in [
            "machine",
            "vhost-device-vsock",
            "virtiofsd",
            "gvproxy",
            "podman-remote",
            "docker",
            "docker-compose",
            "docker-registry",
            "busybox",
        ] {
            let path = stage.program(part);
            assert!(
                path.is_file(),
                "`{}` is missing: run `tests/run-e2e`",
                path.display()
            );
        }
        for path in [
            stage.guest_image(),
            stage.stub_image(),
            stage.agent(),
            stage.systemd_image(),
        ] {
            assert!(
                path.is_file(),
                "`{}` is missing: run `tests/run-e2e`",
                path.display()
            );
        }
    }

    /// A program of the stage.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.root.join("bin").join(name)
    }

    /// The guest's agent.
    pub(crate) fn agent(&self) -> PathBuf {
        self.program(&format!("machine-agent-{}", std::env::consts::ARCH))
    }

    /// The Debian guest's image.
    pub(crate) fn guest_image(&self) -> PathBuf {
        self.root.join("guest.qcow2")
    }

    /// The image of the stub guest, see tests/stub-guest.
    pub(crate) fn stub_image(&self) -> PathBuf {
        self.root.join("stub.qcow2")
    }

    /// The root file system of a container that runs systemd, as a tar archive.
    pub(crate) fn systemd_image(&self) -> PathBuf {
        self.root.join("images/systemd.tar")
    }

    /// A directory for what the tests write, short enough for sockets.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.root.join(Lane::directory(Lane::asked_for()))
    }

    /// The directory of the programs.
    pub(crate) fn bin(&self) -> PathBuf {
        self.root.join("bin")
    }
}
