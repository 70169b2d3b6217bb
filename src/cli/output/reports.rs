//! The rows of `list` and the objects of `inspect`: podman's field names, order and types.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};

use super::gotemplate::{Field, Struct, Value};
use super::{gotime, units};
use crate::ops::connection::ListedConnection;

/// What `list` says of a machine, before it is put in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Name of the machine.
    pub name: String,
    /// The default connection leads to it.
    pub default: bool,
    /// When it was made.
    pub created: Timestamp,
    /// It runs.
    pub running: bool,
    /// It is about to run.
    pub starting: bool,
    /// When it last ran; `None` is never.
    pub last_up: Option<Timestamp>,
    /// The provider's word.
    pub vm_type: String,
    /// Virtual processors.
    pub cpus: u64,
    /// Memory in bytes.
    pub memory: u64,
    /// Swap in bytes.
    pub swap: u64,
    /// Size of the disk in bytes.
    pub disk_size: u64,
    /// Port of the SSH server on the host; 0 where there is none.
    pub port: u16,
    /// User in the guest.
    pub remote_username: String,
    /// Private key for SSH.
    pub identity_path: String,
    /// The network is made by a program of the user.
    pub user_mode_networking: bool,
    /// Whether all of it works, in a word.
    pub health: &'static str,
    /// What does not work, and why.
    pub reason: String,
}

/// Fields of a row, in order; the last two are ours.
pub const LIST_FIELDS: [&str; 18] = [
    "Name",
    "Default",
    "Created",
    "Running",
    "Starting",
    "LastUp",
    "Stream",
    "VMType",
    "CPUs",
    "Memory",
    "Swap",
    "DiskSize",
    "Port",
    "RemoteUsername",
    "IdentityPath",
    "UserModeNetworking",
    "Health",
    "Reason",
];

/// Headers that are not just the field's name in words.
pub const LIST_HEADERS: [(&str, &str); 5] = [
    ("LastUp", "LAST UP"),
    ("VMType", "VM TYPE"),
    ("CPUs", "CPUS"),
    ("Memory", "MEMORY"),
    ("DiskSize", "DISK SIZE"),
];

impl Listed {
    /// The row for people and templates.
    pub fn for_people(&self, now: Timestamp) -> Value {
        let name = if self.default {
            format!("{}*", self.name)
        } else {
            self.name.clone()
        };
        let last_up = if self.starting {
            "Currently starting".to_owned()
        } else if self.running {
            "Currently running".to_owned()
        } else {
            self.last_up
                .map_or_else(|| "Never".to_owned(), |last_up| units::ago(last_up, now))
        };
        row(vec![
            name.into(),
            self.default.into(),
            units::ago(self.created, now).into(),
            (self.running && !self.starting).into(),
            self.starting.into(),
            last_up.into(),
            "".into(),
            self.vm_type.clone().into(),
            self.cpus.into(),
            units::bytes(self.memory).into(),
            units::bytes(self.swap).into(),
            units::bytes(self.disk_size).into(),
            0_i64.into(),
            "".into(),
            "".into(),
            false.into(),
            self.health.into(),
            self.reason.clone().into(),
        ])
    }

    /// The row for JSON, with times in `zone`.
    pub fn for_json(&self, zone: &TimeZone) -> Value {
        let time = |time: ZonedDateTime| Value::from(gotime::rfc3339(&time));
        row(vec![
            self.name.clone().into(),
            self.default.into(),
            time(self.created.to_zoned_datetime(zone.clone())),
            self.running.into(),
            self.starting.into(),
            time(last_up(self.last_up, zone)),
            "default".into(),
            self.vm_type.clone().into(),
            self.cpus.into(),
            self.memory.to_string().into(),
            self.swap.to_string().into(),
            self.disk_size.to_string().into(),
            i64::from(self.port).into(),
            self.remote_username.clone().into(),
            self.identity_path.clone().into(),
            self.user_mode_networking.into(),
            self.health.into(),
            self.reason.clone().into(),
        ])
    }
}

fn row(values: Vec<Value>) -> Value {
    let fields = LIST_FIELDS.iter().zip(values);
    Value::Struct(Struct {
        type_name: "*entities.ListReporter",
        fields: fields
            .map(|(name, value)| Field::new(name, value))
            .collect(),
    })
}

/// Rows as the value that a template of `list` sees as dot.
pub fn list(rows: impl IntoIterator<Item = Value>) -> Value {
    Value::List {
        type_name: "[]*entities.ListReporter",
        items: rows.into_iter().collect(),
    }
}

/// What `inspect` says of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    /// Directory of its configuration.
    pub config_dir: String,
    /// Socket of the API, on Unix.
    pub podman_socket: Option<String>,
    /// Pipe of the API, on Windows.
    pub podman_pipe: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// When it last ran; `None` is never.
    pub last_up: Option<Timestamp>,
    /// Name of the machine.
    pub name: String,
    /// Virtual processors.
    pub cpus: u64,
    /// Size of the disk in GiB.
    pub disk_gib: u64,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Private key for SSH.
    pub identity_path: String,
    /// Port of the SSH server on the host; 0 where there is none.
    pub port: u16,
    /// User in the guest.
    pub remote_username: String,
    /// `running`, `stopped`, `starting` or `unknown`.
    pub state: &'static str,
    /// The network is made by a program of the user.
    pub user_mode_networking: bool,
    /// The socket leads to root's engine.
    pub rootful: bool,
    /// Rosetta translates x86 programs.
    pub rosetta: bool,
    /// Whether all of it works, in a word.
    pub health: &'static str,
    /// What does not work, and why.
    pub reason: String,
    /// The image that its disk was made from.
    pub image: String,
    /// That image's checksum; empty for a file of the host.
    pub image_digest: String,
    /// Its data disk; `None` where it has none.
    pub data_disk: Option<String>,
}

const FILE_FIELDS: [&str; 2] = ["Path", "Symlink"];

impl Inspected {
    /// The object for JSON and templates, with times in `zone`.
    pub fn to_value(&self, zone: &TimeZone) -> Value {
        structure(
            "machine.InspectInfo",
            vec![
                Field::new("ConfigDir", file("define.VMFile", &self.config_dir)),
                Field::new(
                    "ConnectionInfo",
                    structure(
                        "machine.ConnectionConfig",
                        vec![
                            Field::new(
                                "PodmanSocket",
                                optional_file(self.podman_socket.as_deref()),
                            ),
                            Field::new("PodmanPipe", optional_file(self.podman_pipe.as_deref())),
                        ],
                    ),
                ),
                Field::new("Created", self.created.to_zoned_datetime(zone.clone())),
                Field::new("LastUp", last_up(self.last_up, zone)),
                Field::new("Name", self.name.clone()),
                Field::new(
                    "Resources",
                    structure(
                        "vmconfigs.ResourceConfig",
                        vec![
                            Field::new("CPUs", self.cpus),
                            Field::new("DiskSize", self.disk_gib),
                            Field::new("Memory", self.memory_mib),
                            Field::new(
                                "USBs",
                                Value::List {
                                    type_name: "[]define.USBConfig",
                                    items: Vec::new(),
                                },
                            ),
                        ],
                    ),
                ),
                Field::new(
                    "SSHConfig",
                    structure(
                        "vmconfigs.SSHConfig",
                        vec![
                            Field::new("IdentityPath", self.identity_path.clone()),
                            Field::new("Port", i64::from(self.port)),
                            Field::new("RemoteUsername", self.remote_username.clone()),
                        ],
                    ),
                ),
                Field::new("State", self.state),
                Field::new("UserModeNetworking", self.user_mode_networking),
                Field::new("Rootful", self.rootful),
                Field::new("Rosetta", self.rosetta),
                Field::new("Health", self.health),
                Field::new("Reason", self.reason.clone()),
                Field::new("Image", self.image.clone()),
                Field::new("ImageDigest", self.image_digest.clone()),
                Field::new("DataDisk", optional_file(self.data_disk.as_deref())),
            ],
        )
    }
}

/// Objects as the value that a template of `inspect` sees as dot.
pub fn inspect(machines: impl IntoIterator<Item = Value>) -> Value {
    Value::List {
        type_name: "[]machine.InspectInfo",
        items: machines.into_iter().collect(),
    }
}

/// Fields of a connection, in the order of JSON.
const CONNECTION_FIELDS: [&str; 9] = [
    "Name",
    "URI",
    "Identity",
    "TLSCert",
    "TLSKey",
    "TLSCA",
    "IsMachine",
    "Default",
    "ReadWrite",
];

/// Rows as the value that a template of `system connection list` sees as dot.
pub fn connections(listed: &[ListedConnection]) -> Value {
    let row = |listed: &ListedConnection| {
        let connection = &listed.connection;
        let values: [Value; 9] = [
            listed.name.clone().into(),
            connection.uri.clone().into(),
            connection.identity.clone().into(),
            connection.tls_cert.clone().into(),
            connection.tls_key.clone().into(),
            connection.tls_ca.clone().into(),
            connection.is_machine.into(),
            listed.default.into(),
            listed.read_write.into(),
        ];
        let fields = CONNECTION_FIELDS.iter().zip(values);
        let fields = fields.map(|(name, value)| Field {
            // Of the nine these may be left out.
            omit_empty: name.starts_with("TLS") || matches!(*name, "Identity" | "IsMachine"),
            ..Field::new(name, value)
        });
        structure("config.Connection", fields.collect())
    };
    Value::List {
        type_name: "[]config.Connection",
        items: listed.iter().map(row).collect(),
    }
}

/// The header row of that list: the fields' names as they are.
pub fn connection_headers() -> Value {
    let names = CONNECTION_FIELDS.iter();
    let names = names.map(|name| ((*name).to_owned(), Value::from(*name)));
    Value::List {
        type_name: "[]map[string]string",
        items: vec![Value::Map(names.collect())],
    }
}

fn structure(type_name: &'static str, fields: Vec<Field>) -> Value {
    Value::Struct(Struct { type_name, fields })
}

fn file(type_name: &'static str, path: &str) -> Value {
    structure(
        type_name,
        vec![
            Field::new("Path", path),
            Field {
                name: "Symlink",
                json: "symlink",
                omit_empty: true,
                value: Value::NilPointer {
                    type_name: "*string",
                    fields: &[],
                },
            },
        ],
    )
}

fn optional_file(path: Option<&str>) -> Value {
    match path {
        Some(path) => file("*define.VMFile", path),
        None => Value::NilPointer {
            type_name: "*define.VMFile",
            fields: &FILE_FIELDS,
        },
    }
}

fn last_up(last_up: Option<Timestamp>, zone: &TimeZone) -> ZonedDateTime {
    last_up.map_or_else(gotime::zero, |time| time.to_zoned_datetime(zone.clone()))
}
