//! Each command that changes files, with a disk that fails at each of its changes in turn.
//!
//! Whatever fails, the command ends with 125 and names the file, or it succeeds; other machines and the connections are
//! whole; and the same command, once the disk works again, leaves what it leaves on a disk that never failed.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::Trial;
use serde_json::Value;

use super::fault::{Change, Kind, Met};
use super::mount::Mounted;
use crate::support::command::{Finished, run};
use crate::support::home::{Home, SOON};
use crate::support::stage::Stage;
use crate::support::trial;

pub(crate) fn trials() -> Vec<Trial> {
    SCENARIOS
        .iter()
        .map(|scenario| {
            trial(&format!("injury::disk_fails_in_{}", scenario.name), || {
                scenario.play();
            })
        })
        .collect()
}

/// A command and what may be said of it the second time.
struct Scenario {
    name: &'static str,
    /// What makes the world in which it runs.
    before: &'static [&'static [&'static str]],
    command: &'static [&'static str],
    /// What the same command may say once it has succeeded in spite of its error.
    done: Option<&'static str>,
    /// What finishes the rest, where the same command finds nothing to change.
    then: &'static [&'static [&'static str]],
}

const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "init",
        before: &[],
        command: &["init", "--image", IMAGE, "--volume", "", "dev"],
        done: Some("machine \"dev\" already exists"),
        // A machine that could not have its connections, and one that could not even be a draft.
        then: &[&["doctor", "--fix", "dev"], &["rm", "--force", "nobody"]],
    },
    Scenario {
        name: "set",
        before: &[INIT],
        command: &["set", "--cpus", "1", "--disk-size", "200", "dev"],
        done: Some("new disk size must be larger than 200 GB"),
        then: &[],
    },
    Scenario {
        name: "rm",
        before: &[INIT],
        command: &["rm", "--force", "dev"],
        done: Some("dev: VM does not exist"),
        then: &[],
    },
    Scenario {
        name: "rm_that_keeps_the_data",
        before: &[INIT],
        command: &["rm", "--force", "--keep-data", "dev"],
        done: Some("dev: VM does not exist"),
        then: &[],
    },
    Scenario {
        name: "recreate",
        before: &[INIT],
        command: &["recreate", "dev"],
        done: None,
        then: &[],
    },
    Scenario {
        name: "port_add",
        before: &[INIT],
        command: &["port", "add", "18080:80", "dev"],
        done: Some("The port 18080:80/tcp is there twice"),
        then: &[],
    },
    Scenario {
        name: "port_rm",
        before: &[INIT, &["port", "add", "18080:80", "dev"]],
        command: &["port", "rm", "18080:80", "dev"],
        done: Some("Machine `dev` has no configured port 18080:80/tcp"),
        then: &[],
    },
    Scenario {
        name: "connection_add",
        before: &[],
        command: &[
            "system",
            "connection",
            "add",
            "far",
            "ssh://me@far.test/run/podman.sock",
        ],
        done: None,
        then: &[],
    },
    Scenario {
        name: "connection_default",
        before: &[],
        command: &["system", "connection", "default", "other-root"],
        done: None,
        then: &[],
    },
    Scenario {
        name: "connection_rename",
        before: &[FAR],
        command: &["system", "connection", "rename", "far", "near"],
        done: Some("far"),
        then: &[],
    },
    Scenario {
        name: "connection_remove",
        before: &[FAR],
        command: &["system", "connection", "remove", "far"],
        done: Some("far"),
        then: &[],
    },
    Scenario {
        name: "doctor",
        before: &[INIT, OPEN_KEY, NO_SECRET],
        command: &["doctor", "--fix", "dev"],
        done: None,
        then: &[],
    },
];

const FAR: &[&str] = &[
    "system",
    "connection",
    "add",
    "far",
    "ssh://me@far.test/run/podman.sock",
];
/// What the machine is asked to be.
const CONFIG: &str = "data/machines/dev/machine.toml";
/// More changes than any of these commands makes.
const MOST: usize = 300;
/// Stands for the image in a scenario's commands.
const IMAGE: &str = "IMAGE";
const INIT: &[&str] = &["init", "--image", IMAGE, "--volume", "", "dev"];
/// No commands of the program: a key that others may read, and a secret that is lost.
const OPEN_KEY: &[&str] = &["OPEN-KEY"];
const NO_SECRET: &[&str] = &["NO-SECRET"];

impl Scenario {
    fn play(&self) {
        let bench = Bench::new(self.name);
        bench.prepare(&["init", "--image", IMAGE, "--volume", "", "other"]);
        for arguments in self.before {
            bench.prepare(arguments);
        }
        bench.keep();
        let known = bench.other();
        bench.run(self.command).succeeded();
        let whole = bench.state();
        let mut changes = BTreeSet::new();
        let mut count = 0;
        for kind in [Kind::Broken, Kind::Full, Kind::Gone] {
            // Every change fails once; of the other kinds there are about twenty in each command.
            let step = (count / 20).max(1);
            for at in (0..).step_by(step) {
                assert!(at < MOST, "there is no end of faults");
                bench.restore();
                bench.mounted.faults.arm(kind, at);
                let failed = bench.run(self.command);
                let Some(met) = bench.mounted.faults.disarm() else {
                    break;
                };
                let what = format!("{kind:?} {at}: {:?} {}", met.change, met.path.display());
                let about = format!("{what}\n{}\n{}", failed.text(), failed.stderr);
                told(&about, &failed, kind, &met);
                bench.connections(&about);
                let again = bench.run(self.command);
                let done = self.done.is_some_and(|text| again.stderr.contains(text));
                assert!(
                    again.status.success() || done,
                    "{about}\nThen: {}",
                    again.stderr
                );
                assert_eq!(bench.other(), known, "{about}");
                for then in self.then {
                    bench.run(then);
                }
                let left = bench.state();
                let more: Vec<_> = left.difference(&whole).collect();
                let less: Vec<_> = whole.difference(&left).collect();
                assert!(
                    more.is_empty() && less.is_empty(),
                    "{about}\nmore: {more:?}\nless: {less:?}"
                );
                changes.insert(met.change);
                if matches!(kind, Kind::Broken) {
                    count += 1;
                }
            }
        }
        for change in [Change::Create, Change::Write, Change::Sync, Change::Rename] {
            // What only removes makes no files.
            let expected = changes.contains(&change) || self.name.starts_with("rm");
            assert!(expected, "{change:?} never failed: {changes:?}");
        }
    }
}

/// The command has succeeded in spite of the fault, or says what failed and where.
fn told(about: &str, finished: &Finished, kind: Kind, met: &Met) {
    if finished.status.success() {
        return;
    }
    let text = finished.text() + &finished.stderr;
    // The doctor ends with 1 where something is wrong.
    let doctor = finished.status.code() == Some(1) && text.contains("  problem: ");
    let mut lines = finished.stderr.lines();
    let error = finished.status.code() == Some(125) && lines.any(|it| it.starts_with("Error: "));
    assert!(doctor || error, "{:?} {about}", finished.status);
    assert!(text.contains(kind.words()), "{about}");
    // Itself, what it was to become, or where it is: a directory is removed as a whole.
    let mut names: Vec<_> = met.path.ancestors().take(3).map(Path::to_owned).collect();
    names.push(target(&met.path));
    let named = names.iter().any(|path| {
        let path = path.display().to_string();
        !path.is_empty() && text.contains(&path)
    });
    // The home itself, whose name is not known here.
    let named = named || met.path.as_os_str().is_empty();
    assert!(named, "{about}");
}

/// The file that a temporary one was to become.
fn target(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let inner = name
        .strip_prefix('.')
        .and_then(|name| name.strip_suffix(".tmp"));
    match inner.and_then(|name| name.rsplit_once('.')) {
        Some((name, _)) => path.with_file_name(name),
        None => path.to_owned(),
    }
}

/// A home on a disk that can be made to fail.
struct Bench {
    mounted: Mounted,
    home: Home,
    /// Below the mount.
    backing: PathBuf,
    /// As it was before the command.
    template: PathBuf,
    image: PathBuf,
    // The last to go.
    _root: Root,
}

/// A directory that goes with the test.
struct Root(PathBuf);

impl Root {
    fn new(name: &str) -> Self {
        let path = Stage::get().scratch().join(name);
        let _ = fs_err::remove_dir_all(&path);
        fs_err::create_dir_all(&path).expect("the scratch directory can be written");
        Self(path)
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            fs_err::remove_dir_all(&self.0).expect("it is ours");
        }
    }
}

impl Bench {
    fn new(name: &str) -> Self {
        let root = Root::new(&format!("injury-{name}"));
        let home = Home::new(&format!("injury-{name}/m"));
        let root_path = root.0.clone();
        let backing = root_path.join("b");
        fs_err::create_dir_all(&backing).expect("it can be made");
        let image = root_path.join("small.qcow2");
        let mut command = Command::new("qemu-img");
        command
            .args(["create", "-q", "-f", "qcow2"])
            .arg(&image)
            .arg("1M");
        run(&mut command, b"", SOON).succeeded();
        Self {
            mounted: Mounted::new(&backing, home.path()),
            home,
            backing,
            template: root_path.join("t"),
            image,
            _root: root,
        }
    }

    fn run(&self, arguments: &[&str]) -> Finished {
        let image = self.image.to_str().expect("text");
        let arguments: Vec<_> = arguments
            .iter()
            .map(|argument| match *argument {
                IMAGE => image,
                other => other,
            })
            .collect();
        self.home.machine(&arguments, SOON)
    }

    fn prepare(&self, arguments: &[&str]) {
        if arguments == OPEN_KEY {
            let key = self.backing.join("data/machines/dev/ssh/id_ed25519");
            fs_err::set_permissions(key, std::fs::Permissions::from_mode(0o644))
                .expect("it is ours");
            return;
        }
        if arguments == NO_SECRET {
            fs_err::remove_file(self.backing.join("data/machines/dev/secret"))
                .expect("it is there");
            return;
        }
        self.run(arguments).succeeded();
    }

    fn copy(from: &Path, to: &Path) {
        if let Ok(entries) = fs_err::read_dir(to) {
            for entry in entries.flatten() {
                let path = entry.path();
                let removed = if path.is_dir() {
                    fs_err::remove_dir_all(&path)
                } else {
                    fs_err::remove_file(&path)
                };
                removed.expect("it is ours");
            }
        }
        let mut command = Command::new("cp");
        command
            .args(["-a", "--sparse=always", "--reflink=auto"])
            .arg(from.join("."))
            .arg(to);
        run(&mut command, b"", SOON).succeeded();
    }

    fn keep(&self) {
        Self::copy(&self.backing, &self.template);
    }

    fn restore(&self) {
        Self::copy(&self.template, &self.backing);
    }

    /// Every file of the home by its path, with its size where that does not depend on the moment; the connections;
    /// and what the machine is asked to be.
    fn state(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut left = vec![self.backing.clone()];
        while let Some(directory) = left.pop() {
            for entry in fs_err::read_dir(directory).expect("it is there").flatten() {
                let path = entry.path();
                if path.ends_with("accelerators.json") {
                    continue;
                }
                let metadata = entry.metadata().expect("it is there");
                let below = path.strip_prefix(&self.backing).expect("it is below");
                // One more where the first new disk was used already.
                let below = below.display().to_string().replace("disk-2.", "disk-1.");
                let sized = path.extension().is_some_and(|it| it == "raw");
                let size = if sized { metadata.len() } else { 0 };
                let mode = metadata.permissions().mode();
                found.insert(format!("{below} {mode:o} {size}"));
                if metadata.is_dir() {
                    left.push(path);
                }
            }
        }
        let connections = fs_err::read(self.backing.join("connections.json"));
        let file: Value = serde_json::from_slice(&connections.expect("it is there")).expect("JSON");
        let names = file["Connection"]["Connections"].as_object();
        let names = names.into_iter().flatten().map(|(name, _)| name);
        found.extend(names.map(|name| format!("connection {name}")));
        found.insert(format!("default {}", file["Connection"]["Default"]));
        if let Ok(text) = fs_err::read_to_string(self.backing.join(CONFIG)) {
            let asked = text.lines().filter(|line| {
                let made_up = ["created ", "ssh_port ", "generation "];
                !made_up.iter().any(|key| line.starts_with(key))
            });
            found.extend(asked.map(|line| format!("asked {line}")));
        }
        found
    }

    /// What is known of the other machine, byte by byte but for its disks.
    fn other(&self) -> Vec<(String, Vec<u8>)> {
        let directory = self.backing.join("data/machines/other");
        let mut known = Vec::new();
        for name in [
            "machine.toml",
            "secret",
            "ignition.json",
            "ssh/id_ed25519",
            "ssh/known_hosts",
        ] {
            let bytes = fs_err::read(directory.join(name)).expect("it is there");
            known.push((name.to_owned(), bytes));
        }
        known
    }

    /// The connections are whole: they parse, and the other machine has its own.
    fn connections(&self, what: &str) {
        let text = fs_err::read(self.backing.join("connections.json")).expect("it is there");
        let file: Value = serde_json::from_slice(&text)
            .unwrap_or_else(|error| panic!("{what}: the connections: {error}"));
        for name in ["other", "other-root"] {
            let found = &file["Connection"]["Connections"][name];
            assert!(found["URI"].is_string(), "{what}: {file}");
        }
    }
}
