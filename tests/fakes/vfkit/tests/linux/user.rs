//! A user with the stand-ins of vfkit, krunkit and gvproxy.

use fs_err as fs;
use machine::provider::Provider as _;
use machine::provider::apple::AppleProvider;

use crate::built::built;
use crate::common::place::Place;

/// The program that is all of them, by the name under which it is called.
pub(crate) const FAKE: &str = env!("CARGO_BIN_EXE_machine-fake-vfkit");

/// A user with these programs and nothing else.
pub(crate) struct User {
    pub(crate) provider: AppleProvider,
    pub(crate) place: Place,
    _directory: tempfile::TempDir,
}

impl User {
    pub(crate) fn new(provider: AppleProvider) -> Self {
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
            _directory: directory,
        }
    }

    /// What the program does wrong from its next start on.
    pub(crate) fn mischief(&self, words: &str) {
        let file = self.place.root.join("bin/mischief");
        fs::write(file, words).expect("it can be written");
    }
}

/// Leaves nothing of a test that failed.
impl Drop for User {
    fn drop(&mut self) {
        self.place.end_all();
    }
}
