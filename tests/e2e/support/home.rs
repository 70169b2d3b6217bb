//! A home of a test's own: its machines are nobody else's, and nothing of it is left in the end.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::command::{Finished, Running, begin, clean, run};
use super::stage::{Stage, processes_naming};

/// How long a start may take on a busy host without hardware acceleration.
pub(crate) const BOOT: Duration = Duration::from_mins(4);
/// How long a command may take that boots nothing.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// A place for machines.
pub(crate) struct Home {
    root: PathBuf,
    owner: Option<Owner>,
    kept: bool,
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
        Self {
            root: fresh(name),
            owner: None,
            kept: false,
        }
    }

    /// The home directory of a user, with machines where they are by default.
    pub(crate) fn of(owner: Owner, name: &str) -> Self {
        let root = fresh(name);
        let mut given = Command::new("chown");
        given.arg(format!("{}:", owner.user)).arg(&root);
        run(&mut given, b"", SOON).succeeded();
        Self {
            root,
            owner: Some(owner),
            kept: false,
        }
    }

    /// Its directory.
    pub(crate) fn path(&self) -> &Path {
        &self.root
    }

    /// The directory of all machines.
    pub(crate) fn machines(&self) -> PathBuf {
        let data = match self.owner {
            None => "data",
            Some(_) => ".local/share/machine",
        };
        self.root.join(data).join("machines")
    }

    /// The directory of one machine.
    pub(crate) fn machine_dir(&self, name: &str) -> PathBuf {
        self.machines().join(name)
    }

    /// The file with podman's connections.
    pub(crate) fn connections(&self) -> PathBuf {
        self.root.join(match self.owner {
            None => "connections.json",
            Some(_) => ".config/containers/podman-connections.json",
        })
    }

    /// A `machine` command.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = clean(&Stage::get().program("machine"), &self.root);
        command.args(arguments);
        if let Some(owner) = &self.owner {
            return owner.run(&command);
        }
        command
            .env("MACHINE_HOME", &self.root)
            .env("PODMAN_CONNECTIONS_CONF", self.connections());
        command
    }

    /// Runs `machine`.
    pub(crate) fn machine(&self, arguments: &[&str], limit: Duration) -> Finished {
        run(&mut self.command(arguments), b"", limit)
    }

    /// Starts `machine` and goes on.
    pub(crate) fn begin(&self, arguments: &[&str]) -> Running {
        begin(&mut self.command(arguments), b"")
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

    /// The machine's API socket, as a user asks for it.
    pub(crate) fn api_socket(&self, name: &str) -> PathBuf {
        let format = "{{.ConnectionInfo.PodmanSocket.Path}}";
        let text = self
            .machine(&["inspect", "--format", format, name], SOON)
            .succeeded();
        PathBuf::from(text.trim_end())
    }

    /// A field of the machine in `list --format json`.
    pub(crate) fn listed(&self, name: &str, field: &str) -> serde_json::Value {
        let text = self
            .machine(&["list", "--format", "json"], SOON)
            .succeeded();
        let list: serde_json::Value = serde_json::from_str(&text).expect("the list is JSON");
        let entry = list
            .as_array()
            .expect("the list is an array")
            .iter()
            .find(|entry| entry["Name"] == name);
        entry.unwrap_or_else(|| panic!("`{name}` is not listed: {text}"))[field].clone()
    }

    /// The state that `inspect` tells.
    pub(crate) fn state(&self, name: &str) -> String {
        self.machine(&["inspect", "--format", "{{.State}}", name], SOON)
            .succeeded()
            .trim_end()
            .to_owned()
    }

    /// Every process that was started for this home.
    pub(crate) fn processes(&self) -> Vec<String> {
        processes_naming(&self.root)
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
        fs_err::remove_dir_all(&self.root).map_err(|error| error.to_string())
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
fn fresh(name: &str) -> PathBuf {
    let root = Stage::get().scratch().join(name);
    let _ = fs_err::remove_dir_all(&root);
    fs_err::create_dir_all(&root).expect("the scratch directory can be written");
    root
}
