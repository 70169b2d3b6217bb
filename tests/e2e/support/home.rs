//! A home of a test's own: its machines are nobody else's, and nothing of it is left in the end.

use std::ffi::OsString;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::command::run;
use super::stage::Stage;
use crate::common::place::Place;

/// How long a start may take on a busy host without hardware acceleration.
pub(crate) const BOOT: Duration = Duration::from_mins(4);
pub(crate) use crate::common::SOON;

/// A place for machines.
pub(crate) struct Home {
    place: Place,
    kept: bool,
}

impl Deref for Home {
    type Target = Place;

    fn deref(&self) -> &Place {
        &self.place
    }
}

/// Somebody else than who runs the tests, which only root can be for.
pub(crate) struct Owner {
    /// The user's name.
    pub(crate) user: String,
    /// What is set in the user's session.
    pub(crate) variables: Vec<(&'static str, PathBuf)>,
}

impl Owner {
    /// Has a command run as this user, whose new files nothing hides.
    pub(crate) fn run(&self, command: &Command) -> Command {
        let mut own = Command::new("sh");
        own.args(["-c", "umask 0; exec \"$@\"", "sh", "setpriv"])
            .args(["--reuid", &self.user, "--regid", &self.user])
            .args(["--clear-groups", "--"])
            .arg(command.get_program())
            .args(command.get_args())
            .env_clear();
        let set = command.get_envs();
        own.envs(set.filter_map(|(name, value)| Some((name, value?))));
        own.envs(self.variables.iter().map(|(name, path)| (name, path)));
        own
    }
}

impl Home {
    /// A fresh, empty place.
    pub(crate) fn new(name: &str) -> Self {
        let root = fresh(name);
        let connections = root.join("connections.json");
        let mut environment = environment(&root);
        let named = [
            ("MACHINE_HOME", &root),
            ("PODMAN_CONNECTIONS_CONF", &connections),
        ];
        environment.extend(named.map(|(name, path)| (name, path.clone().into_os_string())));
        let place = Place {
            program: Stage::get().program("machine"),
            machines: root.join("data/machines"),
            connections,
            environment,
            through: None,
            root,
        };
        Self { place, kept: false }
    }

    /// The same, whose machines look for their programs in this directory first.
    pub(crate) fn with_programs(name: &str) -> (Self, PathBuf) {
        let mut home = Self::new(name);
        let programs = home.path().join("programs");
        fs_err::create_dir_all(&programs).expect("the scratch directory can be written");
        let named = (
            "CONTAINERS_HELPER_BINARY_DIR",
            programs.clone().into_os_string(),
        );
        home.place.environment.push(named);
        (home, programs)
    }

    /// The home directory of a user, with machines where they are by default.
    pub(crate) fn of(owner: Owner, name: &str) -> Self {
        let root = fresh(name);
        let mut given = Command::new("chown");
        given.arg(format!("{}:", owner.user)).arg(&root);
        run(&mut given, b"", SOON).succeeded();
        let place = Place {
            program: Stage::get().program("machine"),
            machines: root.join(".local/share/machine/machines"),
            connections: root.join(".config/containers/podman-connections.json"),
            environment: environment(&root),
            through: Some(Box::new(move |command| owner.run(command))),
            root,
        };
        Self { place, kept: false }
    }

    /// Creates a machine from the Debian guest, without folders of the host where none are asked for.
    pub(crate) fn init(&self, name: &str, more: &[&str]) {
        let image = Stage::get().guest_image();
        let image = image.to_str().expect("the stage's path is text");
        let mut arguments = vec![
            "init",
            "--image",
            image,
            "--cpus",
            "2",
            "--memory",
            "1536",
            "--disk-size",
            "8",
        ];
        if !more.contains(&"--volume") {
            arguments.extend(["--volume", ""]);
        }
        arguments.extend(more);
        arguments.push(name);
        self.machine(&arguments, BOOT).succeeded();
    }

    /// Creates a machine from the stub guest, which is up in seconds and has no containers (tests/stub-guest).
    pub(crate) fn init_stub(&self, name: &str, more: &[&str]) {
        let image = Stage::get().stub_image();
        let image = image.to_str().expect("the stage's path is text");
        let words = [
            "init",
            "--image",
            image,
            "--memory",
            "512",
            "--disk-size",
            "1",
        ];
        let folders: &[&str] = if more.contains(&"--volume") {
            &[]
        } else {
            &["--volume", ""]
        };
        let words = [&words, folders, more, &[name]].concat();
        self.machine(&words, BOOT).succeeded();
        // It has no programs to make a file system with. A machine that is older than the data disk has none, so that one
        // without is as real.
        let config = self.machine_dir(name).join("machine.toml");
        let text = fs_err::read_to_string(&config).expect("it was made");
        let mut kept: Vec<_> = text
            .lines()
            .filter(|line| !line.starts_with("data_disk"))
            .collect();
        kept.push("");
        fs_err::write(&config, kept.join("\n")).expect("it can be written");
    }

    /// Stops and removes all machines; says what is left behind.
    pub(crate) fn dispose(&mut self) -> Result<(), String> {
        self.kept = true;
        let names = self
            .machine(&["list", "--noheading", "--quiet"], SOON)
            .text();
        for name in names.lines().map(|line| line.trim_end_matches('*')) {
            self.machine(&["rm", "--force", name], BOOT).succeeded();
        }
        let processes = self.processes();
        if !processes.is_empty() {
            return Err(format!("processes: {processes:?}"));
        }
        let found = fs_err::read_dir(self.machines());
        let mut machines: Vec<_> = found
            .map(|found| found.flatten().map(|entry| entry.file_name()).collect())
            .unwrap_or_default();
        // The store's own lock stays.
        machines.retain(|name| name != ".lock");
        if !machines.is_empty() {
            return Err(format!("in the machines' directory: {machines:?}"));
        }
        fs_err::remove_dir_all(self.path()).map_err(|error| error.to_string())
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if self.kept || std::thread::panicking() {
            return;
        }
        if let Err(problem) = self.dispose() {
            panic!("The test left something behind: {problem}");
        }
    }
}

/// An empty directory of this name.
/// What the commands of a place know: the stage's programs come first.
fn environment(root: &Path) -> Vec<(&'static str, OsString)> {
    let bin = Stage::get().bin();
    let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", bin.display());
    vec![
        ("HOME", root.into()),
        ("PATH", path.into()),
        ("LC_ALL", "C.UTF-8".into()),
    ]
}

fn fresh(name: &str) -> PathBuf {
    let root = Stage::get().scratch().join(name);
    let _ = fs_err::remove_dir_all(&root);
    fs_err::create_dir_all(&root).expect("the scratch directory can be written");
    root
}
