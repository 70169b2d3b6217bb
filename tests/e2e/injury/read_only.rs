//! A home that cannot be written: a file system that is read-only, and directories without the right to write. What only
//! looks works; what changes something says which path, why, and what to do, and nothing is half-made.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::Trial;

use super::mount::Mounted;
use crate::support::command::run;
use crate::support::home::{Home, SOON};
use crate::support::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("injury::home_on_a_read_only_file_system", file_system),
        trial("injury::home_without_the_right_to_write", rights),
        trial("injury::home_of_which_nothing_can_be_made", nothing_yet),
    ]
}

/// Commands that look.
const LOOKS: &[&[&str]] = &[
    &["list"],
    &["inspect", "dev"],
    &["info"],
    &["port", "list", "dev"],
    &["image", "list"],
    &["system", "connection", "list"],
    &["events"],
    // Stopped already.
    &["stop", "dev"],
];
/// Commands that change files of machines; `IMAGE` is one.
const CHANGES: &[&[&str]] = &[
    &["init", "--image", "IMAGE", "--volume", "", "new"],
    &["start", "dev"],
    &["set", "--cpus", "1", "dev"],
    &["recreate", "dev"],
    &["port", "add", "18080:80", "dev"],
    &["rm", "--force", "--keep-data", "dev"],
    &["rm", "--force", "dev"],
];
const CONNECTION: &[&str] = &[
    "system",
    "connection",
    "add",
    "far",
    "ssh://me@far.test/run/podman.sock",
];

/// A home with a machine, below a directory that goes with the test.
struct Bench {
    home: Home,
    image: PathBuf,
}

impl Bench {
    fn new(name: &str) -> Self {
        let home = Home::new(name);
        let image = home.path().with_file_name(format!("{name}.qcow2"));
        let _ = fs_err::remove_file(&image);
        let mut command = Command::new("qemu-img");
        command
            .args(["create", "-q", "-f", "qcow2"])
            .arg(&image)
            .arg("1M");
        run(&mut command, b"", SOON).succeeded();
        Self { home, image }
    }

    fn words(&self, words: &[&str]) -> Vec<String> {
        let image = self.image.display().to_string();
        words
            .iter()
            .map(|word| word.replace("IMAGE", &image))
            .collect()
    }

    fn init(&self) {
        let words = self.words(&["init", "--image", "IMAGE", "--volume", "", "dev"]);
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        self.home.machine(&words, SOON).succeeded();
    }

    /// The command fails, names a path in `directory` or that itself, says why and gives a hint.
    fn refused(&self, words: &[&str], directory: &Path, why: &str) {
        let words = self.words(words);
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let error = self.home.machine(&words, SOON).failed();
        let place = format!("`{}", directory.display());
        assert!(error.contains(&place), "{words:?}: {error}");
        assert!(error.contains(why), "{words:?}: {error}");
        let hint = error.lines().find(|line| line.starts_with("hint: "));
        let hint = hint.unwrap_or_else(|| panic!("{words:?} gives no hint: {error}"));
        assert!(hint.contains("name another directory") || hint.contains("elsewhere"));
    }

    fn looks(&self) {
        for words in LOOKS {
            let text = self.home.machine(words, SOON).succeeded();
            if ["list", "inspect"].contains(&words[0]) {
                assert!(text.contains("dev"), "{text}");
            }
        }
    }

    /// The doctor finds it.
    fn told(&self, directory: &Path) {
        let told = self.home.machine(&["doctor"], SOON);
        let text = told.text();
        assert_eq!(told.status.code(), Some(1), "{text}");
        let place = directory.display().to_string();
        let problem = format!("problem: The data directory `{place}` cannot be written");
        assert!(text.contains(&problem), "{text}");
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = fs_err::remove_file(&self.image);
    }
}

/// Every file below with its size, kind and mode.
fn tree(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut left = vec![root.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs_err::read_dir(directory).expect("it is there").flatten() {
            let metadata = entry.metadata().expect("it is there");
            let mode = metadata.permissions().mode();
            let size = metadata.is_file().then_some(metadata.len());
            found.push(format!("{} {mode:o} {size:?}", entry.path().display()));
            if metadata.is_dir() {
                left.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

fn file_system() {
    let bench = Bench::new("injury-ro");
    bench.init();
    let root = bench.home.path().to_owned();
    let backing = root.with_file_name("injury-ro-b");
    let _ = fs_err::remove_dir_all(&backing);
    fs_err::rename(&root, &backing).expect("it can be renamed");
    fs_err::create_dir(&root).expect("it can be made");
    let before = tree(&backing);
    {
        let _mounted = Mounted::read_only(&backing, &root);
        let data = root.join("data");
        bench.looks();
        bench.told(&data);
        for words in CHANGES {
            bench.refused(words, &data, "Read-only file system");
        }
        bench.refused(CONNECTION, &root, "Read-only file system");
    }
    assert_eq!(tree(&backing), before);
    fs_err::remove_dir(&root).expect("it is unmounted");
    fs_err::rename(&backing, &root).expect("it can be renamed");
    assert_eq!(bench.home.processes(), [""; 0]);
}

fn set_mode(path: &Path, bits: u32) {
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(bits)).expect("it is ours");
}

fn rights() {
    let bench = Bench::new("injury-rights");
    bench.init();
    let directory = bench.home.machine_dir("dev");
    // Files that are there can still be written: only what needs a new name fails.
    for lock in ["edit.lock", "run.lock"] {
        let _ = fs_err::remove_file(directory.join(lock));
    }
    set_mode(&directory, 0o500);
    let before = tree(&directory);
    bench.looks();
    for words in CHANGES.iter().filter(|words| words[0] != "init") {
        bench.refused(words, &directory, "Permission denied");
    }
    assert_eq!(tree(&directory), before);
    set_mode(&directory, 0o700);
    // Nothing can be read either.
    set_mode(&directory, 0o000);
    let error = bench.home.machine(&["inspect", "dev"], SOON).failed();
    assert!(error.contains("Permission denied"), "{error}");
    assert!(error.contains("hint: "), "{error}");
    let text = bench.home.machine(&["list", "--format", "json"], SOON);
    assert!(text.text().contains("dev") || text.stderr.contains("dev"));
    set_mode(&directory, 0o700);
    // The settings.
    let settings = bench.home.path().join("config.toml");
    fs_err::write(&settings, "").expect("it can be written");
    set_mode(&settings, 0o000);
    let error = bench.home.machine(&["init", "x"], SOON).failed();
    let place = settings.display().to_string();
    assert!(
        error.contains(&place) && error.contains("Permission denied"),
        "{error}"
    );
    set_mode(&settings, 0o600);
    bench.looks();
}

fn nothing_yet() {
    let bench = Bench::new("injury-empty");
    let root = bench.home.path();
    set_mode(root, 0o500);
    let data = root.join("data");
    for words in [&["list"][..], &["info"], &["image", "list"]] {
        bench.home.machine(words, SOON).succeeded();
    }
    let init = CHANGES[0];
    bench.refused(init, &data, "Permission denied");
    assert!(tree(root).is_empty(), "{:?}", tree(root));
    set_mode(root, 0o700);
    // With the data elsewhere, the connections are what cannot be written.
    let words = bench.words(&["init", "--image", "IMAGE", "--volume", "", "dev"]);
    let mut command = bench.home.command(&[]);
    command
        .args(&words)
        .env("PODMAN_CONNECTIONS_CONF", "/proc/none/connections.json");
    let error = run(&mut command, b"", SOON).failed();
    assert!(error.contains("/proc/none"), "{error}");
    assert!(!bench.home.machine_dir("dev").exists(), "{error}");
}
