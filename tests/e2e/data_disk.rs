//! What the engines keep outlives the operating system, and the machine.

use std::path::{Path, PathBuf};

use libtest_mimic::Trial;

use crate::support::command::{eventually, run};
use crate::support::home::{BOOT, Home, SOON};
use crate::support::shared::{IMAGE, import_busybox, podman};
use crate::support::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial(
        "data::it_survives_a_new_operating_system_and_a_new_machine",
        survives,
    )]
}

const MACHINE: &str = "m";
/// What only the disk with the operating system has.
const THROWN_AWAY: &str = "/var/home/core/thrown-away";
const QUADLET: &str = "[Container]\nNetwork=none\nExec=sleep 100000\nContainerName=unit\n";

/// An engine of the machine.
struct Engine {
    rootful: bool,
    socket: PathBuf,
}

impl Engine {
    fn both(home: &Home) -> [Self; 2] {
        [true, false].map(|rootful| {
            let name = if rootful { "rootful" } else { "rootless" };
            let socket = home
                .machine_dir(MACHINE)
                .join(format!("{name}.podman.sock"));
            Self { rootful, socket }
        })
    }

    fn says(&self, home: &Home, arguments: &[&str]) -> String {
        let text = run(podman(home, &self.socket).args(arguments), b"", BOOT).succeeded();
        text.trim_end().to_owned()
    }

    /// Runs a script in the guest as the one whose engine this is; `$SCOPE` and `$UNITS` are his.
    fn script(&self, home: &Home, script: &str) -> String {
        let (shell, own): (&[&str], _) = if self.rootful {
            (
                &["sudo", "sh", "-eu"],
                "SCOPE=--system UNITS=/etc/containers/systemd",
            )
        } else {
            (
                &["sh", "-eu"],
                "SCOPE=--user UNITS=~/.config/containers/systemd",
            )
        };
        let mut command = home.command(&[&["ssh", MACHINE], shell].concat());
        let script = format!("{own}\n{script}");
        let text = run(&mut command, script.as_bytes(), BOOT).succeeded();
        text.trim_end().to_owned()
    }

    fn fill(&self, home: &Home) {
        import_busybox(home, &self.socket);
        self.says(home, &["volume", "create", "words"]);
        let writes = "echo kept >/words/file";
        let run = [
            "run",
            "--name",
            "stopped",
            "-v",
            "words:/words",
            IMAGE,
            "sh",
            "-c",
            writes,
        ];
        self.says(home, &run);
        if self.rootful {
            self.says(
                home,
                &["network", "create", "--subnet", "10.99.0.0/24", "lan"],
            );
        }
        let quadlet = QUADLET.replacen('\n', &format!("\nImage={IMAGE}\n"), 1);
        self.script(
            home,
            &format!(
                "mkdir -p $UNITS\ncat >$UNITS/unit.container <<'END'\n{quadlet}\n[Install]\nWantedBy=default.target multi-user.target\nEND\nsystemctl $SCOPE daemon-reload"
            ),
        );
    }

    fn is_as_it_was(&self, home: &Home) {
        assert_eq!(self.says(home, &["image", "exists", IMAGE]), "");
        let format = "{{.State.Status}} {{.State.ExitCode}}";
        let state = self.says(home, &["inspect", "--format", format, "stopped"]);
        assert_eq!(state, "exited 0");
        let reads = [
            "run",
            "--rm",
            "-v",
            "words:/words",
            IMAGE,
            "cat",
            "/words/file",
        ];
        assert_eq!(self.says(home, &reads), "kept");
        if self.rootful {
            let format = "{{(index .Subnets 0).Subnet}}";
            let subnet = self.says(home, &["network", "inspect", "--format", format, "lan"]);
            assert_eq!(subnet, "10.99.0.0/24");
        }
        eventually("the quadlet's service is started", BOOT, || {
            let state = self.script(home, "systemctl $SCOPE is-active unit.service || true");
            (state == "active").then_some(())
        });
        let running = ["ps", "--filter", "name=unit", "--format", "{{.State}}"];
        assert_eq!(self.says(home, &running), "running");
    }
}

fn survives() {
    let mut home = Home::new("data");
    home.init(MACHINE, &[]);
    home.machine(&["start", MACHINE], BOOT).succeeded();
    let engines = Engine::both(&home);
    for engine in &engines {
        engine.fill(&home);
    }
    let guest = |words: &[&str]| {
        let words = [&["exec", "--user", "root", MACHINE][..], words].concat();
        home.machine(&words, SOON)
    };
    guest(&["touch", THROWN_AWAY]).succeeded();
    let error = home.machine(&["recreate", MACHINE], SOON).failed();
    assert!(
        error.contains("only a stopped one can be made anew"),
        "{error}"
    );
    let key = fs_err::read(home.machine_dir(MACHINE).join("ssh/id_ed25519")).expect("a key");

    let said = home
        .machine(&["recreate", "--force", MACHINE], BOOT)
        .succeeded();
    assert!(
        said.ends_with("Machine \"m\" recreated successfully\n"),
        "{said}"
    );
    assert_eq!(home.state(MACHINE), "stopped");
    home.machine(&["start", MACHINE], BOOT).succeeded();
    for engine in &engines {
        engine.is_as_it_was(&home);
    }
    guest(&["test", "!", "-e", THROWN_AWAY]).succeeded();
    let same = fs_err::read(home.machine_dir(MACHINE).join("ssh/id_ed25519")).expect("a key");
    assert!(key == same, "the machine has the keys that it had");
    // Larger, and the file system with it.
    home.machine(&["stop", MACHINE], BOOT).succeeded();
    home.machine(&["set", "--disk-size", "12", MACHINE], SOON)
        .succeeded();

    let said = home
        .machine(&["rm", "--force", "--keep-data", MACHINE], BOOT)
        .succeeded();
    let kept = home.path().join("data/data-disks/m.raw");
    assert!(
        said.contains(&format!("The data disk is kept: {}\n", kept.display())),
        "{said}"
    );
    assert!(!home.machine_dir(MACHINE).exists() && kept.is_file());
    anew(&home, &kept);
    for engine in &engines {
        engine.is_as_it_was(&home);
    }
    let size = "df --output=size --block-size=1G /var/lib/containers | tail -n 1";
    let size = guest(&["sh", "-c", size]).succeeded();
    assert_eq!(size.trim(), "12");
    home.machine(&["stop", MACHINE], BOOT).succeeded();
    let said = home.machine(&["rm", "--force", MACHINE], BOOT).succeeded();
    assert_eq!(said, "");
    assert!(kept.is_file(), "what the user named is the user's");
    assert_eq!(home.processes(), [""; 0]);
    home.dispose().expect("nothing is left");
}

/// A machine with the data disk of the one before.
fn anew(home: &Home, disk: &Path) {
    let image = crate::support::stage::Stage::get().guest_image();
    let (image, disk) = (image.to_str().expect("text"), disk.to_str().expect("text"));
    let init = [
        "init",
        "--image",
        image,
        "--cpus",
        "2",
        "--memory",
        "1536",
        "--volume",
        "",
        "--data-disk",
        disk,
        "--now",
        MACHINE,
    ];
    home.machine(&init, BOOT).succeeded();
    assert_eq!(home.listed(MACHINE, "DiskSize"), (12_u64 << 30).to_string());
}
