//! The object of `info`: podman's field names, order and types; and that of `info --paths`, which is ours.

use std::path::{Path, PathBuf};

use super::gotemplate::{Field, Struct, Value};

/// Go's text of the time at which nothing was built.
const NEVER_BUILT: &str = "Thu Jan  1 00:00:00 1970";

/// What `info` says (spec 1.4.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostReport {
    /// The processor, by Go's name.
    pub arch: &'static str,
    /// The operating system, by Go's name.
    pub os: &'static str,
    /// The machine that runs or starts, else the default one.
    pub current_machine: String,
    /// The image of new machines; podman has no such field.
    pub default_image: String,
    /// The machine that the default connection leads to.
    pub default_machine: String,
    /// Where events are written.
    pub events_dir: String,
    /// Where machines' configurations are.
    pub config_dir: String,
    /// Where images are.
    pub image_dir: String,
    /// What the current machine does.
    pub state: &'static str,
    /// How many machines there are.
    pub machines: usize,
    /// The provider of new machines.
    pub vm_type: &'static str,
    /// This program's version.
    pub version: &'static str,
}

impl HostReport {
    /// The object for JSON, YAML and templates.
    pub fn to_value(&self) -> Value {
        let host = structure(
            "*entities.MachineHostInfo",
            vec![
                Field::new("Arch", self.arch),
                Field::new("CurrentMachine", self.current_machine.clone()),
                Field::new("DefaultImage", self.default_image.clone()),
                Field::new("DefaultMachine", self.default_machine.clone()),
                Field::new("EventsDir", self.events_dir.clone()),
                Field::new("MachineConfigDir", self.config_dir.clone()),
                Field::new("MachineImageDir", self.image_dir.clone()),
                Field::new("MachineState", self.state),
                Field::new(
                    "NumberOfMachines",
                    i64::try_from(self.machines).unwrap_or(i64::MAX),
                ),
                Field::new("OS", self.os),
                Field::new("VMType", self.vm_type),
            ],
        );
        let version = structure(
            "define.Version",
            vec![
                Field::new("APIVersion", self.version),
                Field::new("Version", self.version),
                Field::new("GoVersion", ""),
                Field::new("GitCommit", ""),
                Field::new("BuiltTime", NEVER_BUILT),
                Field::new("Built", 0_i64),
                Field {
                    omit_empty: true,
                    ..Field::new("BuildOrigin", "")
                },
                Field::new("OsArch", format!("{}/{}", self.os, self.arch)),
                Field::new("Os", self.os),
            ],
        );
        structure(
            "entities.MachineInfo",
            vec![Field::new("Host", host), Field::new("Version", version)],
        )
    }
}

/// What `info --paths` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathsReport {
    /// Our configuration file, there or not.
    pub config: PathBuf,
    /// The file with podman's connections, there or not.
    pub connections: PathBuf,
    /// The directory of all that is ours.
    pub data: PathBuf,
    /// The directory of images.
    pub images: PathBuf,
    /// The directory of machines, each with its sockets.
    pub machines: PathBuf,
    /// The directory of the sockets of machines whose own path is too long.
    pub short_sockets: PathBuf,
}

impl PathsReport {
    /// The object for JSON, YAML and templates.
    pub fn to_value(&self) -> Value {
        let path = |name, path: &Path| Field::new(name, path.display().to_string());
        structure(
            "machine.Paths",
            vec![
                path("Config", &self.config),
                path("Connections", &self.connections),
                path("Data", &self.data),
                path("Images", &self.images),
                path("Machines", &self.machines),
                path("ShortSockets", &self.short_sockets),
            ],
        )
    }
}

fn structure(type_name: &'static str, fields: Vec<Field>) -> Value {
    Value::Struct(Struct { type_name, fields })
}
