//! The content of the file: named connections, which of them is the default, and farms.
//!
//! Pure. Keys that are not known stay where they are, at every level: a newer podman may know them. A known key with a
//! value of another type is an error, since nobody can tell what a change would destroy.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

/// The content of the file. Written in the order of podman's own keys, unknown ones behind.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Connections {
    #[serde(rename = "Connection")]
    connection: Section,
    #[serde(rename = "Farm")]
    farm: Farm,
    #[serde(flatten)]
    unknown: Map<String, Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
struct Section {
    #[serde(rename = "Default", skip_serializing_if = "String::is_empty")]
    default: String,
    #[serde(rename = "Connections", skip_serializing_if = "BTreeMap::is_empty")]
    connections: BTreeMap<String, Connection>,
    #[serde(flatten)]
    unknown: Map<String, Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
struct Farm {
    #[serde(rename = "Default", skip_serializing_if = "String::is_empty")]
    default: String,
    #[serde(rename = "List", skip_serializing_if = "BTreeMap::is_empty")]
    list: BTreeMap<String, Vec<String>>,
    #[serde(flatten)]
    unknown: Map<String, Value>,
}

/// One connection.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Connection {
    /// Where the engine is: `ssh://`, `unix://` or `tcp://`.
    #[serde(rename = "URI")]
    pub uri: String,
    /// The private key for SSH; empty where none is set.
    #[serde(rename = "Identity", skip_serializing_if = "String::is_empty")]
    pub identity: String,
    /// The client's certificate for TLS.
    #[serde(rename = "TLSCert", skip_serializing_if = "String::is_empty")]
    pub tls_cert: String,
    /// Its key.
    #[serde(rename = "TLSKey", skip_serializing_if = "String::is_empty")]
    pub tls_key: String,
    /// The authority that signed the server's certificate.
    #[serde(rename = "TLSCA", skip_serializing_if = "String::is_empty")]
    pub tls_ca: String,
    /// Whether it leads to a machine. Clients then skip the user's SSH configuration and share paths.
    #[serde(rename = "IsMachine", skip_serializing_if = "std::ops::Not::not")]
    pub is_machine: bool,
    /// What is not known to this version.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

impl Connection {
    /// A connection with this address and nothing else.
    pub fn to(uri: impl Into<String>) -> Self {
        Self {
            uri: uri.into(),
            ..Self::default()
        }
    }
}

/// A value of another type than the known one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongType {
    /// Where, as `Connection.Default`.
    pub key: String,
    /// The type that is there.
    pub found: &'static str,
    /// The type that is known.
    pub wanted: &'static str,
}

impl Connections {
    /// Reads what a file says.
    pub fn from_value(value: Value) -> Result<Self, WrongType> {
        let mut root = Keys::of(value, "")?;
        let mut section = root.object("Connection")?;
        let mut connections = BTreeMap::new();
        for (name, value) in section.object("Connections")?.into_rest() {
            let mut keys = Keys::of(value, &format!("Connection.Connections.{name}"))?;
            let connection = Connection {
                uri: keys.text("URI")?,
                identity: keys.text("Identity")?,
                tls_cert: keys.text("TLSCert")?,
                tls_key: keys.text("TLSKey")?,
                tls_ca: keys.text("TLSCA")?,
                is_machine: keys.truth("IsMachine")?,
                unknown: keys.into_rest(),
            };
            connections.insert(name, connection);
        }
        let mut farm = root.object("Farm")?;
        let mut list = BTreeMap::new();
        for (name, value) in farm.object("List")?.into_rest() {
            let members = texts(value, &format!("Farm.List.{name}"))?;
            list.insert(name, members);
        }
        Ok(Self {
            connection: Section {
                default: section.text("Default")?,
                connections,
                unknown: section.into_rest(),
            },
            farm: Farm {
                default: farm.text("Default")?,
                list,
                unknown: farm.into_rest(),
            },
            unknown: root.into_rest(),
        })
    }

    /// The connection of this name.
    pub fn get(&self, name: &str) -> Option<&Connection> {
        self.connection.connections.get(name)
    }

    /// The connection of this name, to change it.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Connection> {
        self.connection.connections.get_mut(name)
    }

    /// All connections, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Connection)> {
        let connections = self.connection.connections.iter();
        connections.map(|(name, connection)| (name.as_str(), connection))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.connection.connections.is_empty()
    }

    /// The name of the default connection. It may name none of the list.
    pub fn default_name(&self) -> Option<&str> {
        Some(self.connection.default.as_str()).filter(|name| !name.is_empty())
    }

    /// Adds a connection, in place of one of the same name. The first one ever becomes the default.
    pub fn insert(&mut self, name: &str, connection: Connection) {
        if self.is_empty() {
            name.clone_into(&mut self.connection.default);
        }
        self.connection
            .connections
            .insert(name.to_owned(), connection);
    }

    /// Makes a connection of the list the default; false where there is none of this name.
    pub fn set_default(&mut self, name: &str) -> bool {
        let known = self.get(name).is_some();
        if known {
            name.clone_into(&mut self.connection.default);
        }
        known
    }

    /// Takes a connection out, also out of farms. It is no default any more. False where there was none.
    pub fn remove(&mut self, name: &str) -> bool {
        if self.connection.default == name {
            self.connection.default.clear();
        }
        for members in self.farm.list.values_mut() {
            members.retain(|member| member != name);
        }
        self.connection.connections.remove(name).is_some()
    }

    /// Takes all out. Farms stay, empty.
    pub fn remove_all(&mut self) {
        self.connection.default.clear();
        self.connection.connections.clear();
        self.farm.list.values_mut().for_each(Vec::clear);
    }

    /// Gives a connection another name, in place of one that has it. The default and the farms follow. False where
    /// there is none of the old name.
    pub fn rename(&mut self, old: &str, new: &str) -> bool {
        let Some(connection) = self.connection.connections.remove(old) else {
            return false;
        };
        let connections = &mut self.connection.connections;
        connections.insert(new.to_owned(), connection);
        if self.connection.default == old {
            new.clone_into(&mut self.connection.default);
        }
        if old != new {
            for members in self.farm.list.values_mut() {
                if members.iter().any(|member| member == new) {
                    members.retain(|member| member != old);
                }
                for member in members.iter_mut().filter(|member| *member == old) {
                    new.clone_into(member);
                }
            }
        }
        true
    }

    /// Adds a connection to a farm, which is made where it is missing; the first farm ever becomes the default.
    pub fn add_to_farm(&mut self, farm: &str, name: &str) {
        if self.farm.list.is_empty() {
            farm.clone_into(&mut self.farm.default);
        }
        let members = self.farm.list.entry(farm.to_owned()).or_default();
        if !members.iter().any(|member| member == name) {
            members.push(name.to_owned());
        }
    }

    /// The members of a farm.
    pub fn farm(&self, name: &str) -> Option<&[String]> {
        self.farm.list.get(name).map(Vec::as_slice)
    }
}

/// The keys of one object, of which the known ones are taken.
struct Keys {
    path: String,
    rest: Map<String, Value>,
}

impl Keys {
    /// `null` is an object without keys, as to Go.
    fn of(value: Value, path: &str) -> Result<Self, WrongType> {
        let rest = match value {
            Value::Object(rest) => rest,
            Value::Null => Map::new(),
            other => {
                let key = if path.is_empty() { "." } else { path };
                return Err(wrong(key, &other, "an object"));
            }
        };
        Ok(Self {
            path: path.to_owned(),
            rest,
        })
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    fn take(&mut self, key: &str) -> Value {
        self.rest.remove(key).unwrap_or(Value::Null)
    }

    fn object(&mut self, key: &str) -> Result<Self, WrongType> {
        Self::of(self.take(key), &self.path_of(key))
    }

    fn text(&mut self, key: &str) -> Result<String, WrongType> {
        match self.take(key) {
            Value::String(text) => Ok(text),
            Value::Null => Ok(String::new()),
            other => Err(wrong(&self.path_of(key), &other, "a text")),
        }
    }

    fn truth(&mut self, key: &str) -> Result<bool, WrongType> {
        match self.take(key) {
            Value::Bool(truth) => Ok(truth),
            Value::Null => Ok(false),
            other => Err(wrong(&self.path_of(key), &other, "true or false")),
        }
    }

    fn into_rest(self) -> Map<String, Value> {
        self.rest
    }
}

fn texts(value: Value, path: &str) -> Result<Vec<String>, WrongType> {
    let items = match value {
        Value::Array(items) => items,
        Value::Null => Vec::new(),
        other => return Err(wrong(path, &other, "a list")),
    };
    let texts = items.into_iter().map(|item| match item {
        Value::String(text) => Ok(text),
        other => Err(wrong(path, &other, "a list of texts")),
    });
    texts.collect()
}

fn wrong(key: &str, found: &Value, wanted: &'static str) -> WrongType {
    WrongType {
        key: key.to_owned(),
        found: match found {
            Value::Null => "null",
            Value::Bool(_) => "a truth value",
            Value::Number(_) => "a number",
            Value::String(_) => "a text",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        },
        wanted,
    }
}

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;
