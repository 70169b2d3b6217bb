//! Where a user's machines are: commands, what they tell of a machine, and who runs there.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use machine_host::process::ProcessIdentity;

use super::SOON;
use super::command::{Finished, Running, begin, run};

/// A place for machines, which are nobody else's.
pub(crate) struct Place {
    /// The `machine` program.
    pub(crate) program: PathBuf,
    /// A directory that every process of the place is told of.
    pub(crate) root: PathBuf,
    /// The directory of all machines.
    pub(crate) machines: PathBuf,
    /// The file with podman's connections.
    pub(crate) connections: PathBuf,
    /// The whole environment of its commands.
    pub(crate) environment: Vec<(&'static str, OsString)>,
    /// Has commands run as somebody else.
    pub(crate) through: Option<Through>,
}

/// From a command to one that has somebody else run it.
pub(crate) type Through = Box<dyn Fn(&Command) -> Command + Send + Sync>;

impl Place {
    /// Its directory.
    pub(crate) fn path(&self) -> &Path {
        &self.root
    }

    /// The directory of all machines.
    pub(crate) fn machines(&self) -> PathBuf {
        self.machines.clone()
    }

    /// The directory of one machine.
    pub(crate) fn machine_dir(&self, name: &str) -> PathBuf {
        self.machines.join(name)
    }

    /// The file with podman's connections.
    pub(crate) fn connections(&self) -> PathBuf {
        self.connections.clone()
    }

    /// A `machine` command.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        let environment = self.environment.iter().map(|(name, value)| (name, value));
        command.env_clear().envs(environment).args(arguments);
        match &self.through {
            Some(through) => through(&command),
            None => command,
        }
    }

    /// Runs `machine`.
    pub(crate) fn machine(&self, arguments: &[&str], limit: Duration) -> Finished {
        run(&mut self.command(arguments), b"", limit)
    }

    /// Starts `machine` and goes on.
    pub(crate) fn begin(&self, arguments: &[&str]) -> Running {
        begin(&mut self.command(arguments), b"")
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

    /// Ends every process of a test that failed.
    pub(crate) fn end_all(&self) {
        for line in self.processes() {
            let number = line
                .split(' ')
                .next()
                .and_then(|number| number.parse().ok());
            let process = number.and_then(|number| ProcessIdentity::of(number).ok().flatten());
            // It may have ended.
            let _ = process.map(|process| process.kill());
        }
    }

    /// Every process that was started for this home.
    pub(crate) fn processes(&self) -> Vec<String> {
        processes_naming(self.path())
    }
}

/// The processes whose command line or environment names `path`, each as its number and command line.
pub(crate) fn processes_naming(path: &Path) -> Vec<String> {
    let needle = path.display().to_string();
    let mut found = Vec::new();
    for entry in fs_err::read_dir("/proc").expect("/proc is there").flatten() {
        let number = entry.file_name().to_string_lossy().into_owned();
        // What is no process, has just ended or belongs to another user.
        let text = |file| fs_err::read(entry.path().join(file)).unwrap_or_default();
        let line = String::from_utf8_lossy(&text("cmdline")).replace('\0', " ");
        let environment = String::from_utf8_lossy(&text("environ")).into_owned();
        let own = number == std::process::id().to_string();
        if !own && !line.is_empty() && (line.contains(&needle) || environment.contains(&needle)) {
            found.push(format!("{number} {line}"));
        }
    }
    found
}
