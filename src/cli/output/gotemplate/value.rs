//! The values a template works on: Go's kinds, with the names of the Go types where an error tells them.

use jiff::ZonedDateTime;
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::cli::output::gotime;

/// A value of a template.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// No value: a missing key, or the word `nil`.
    Nil,
    /// A nil pointer to a struct of a known type.
    NilPointer {
        /// Go's name of the pointer's type.
        type_name: &'static str,
        /// The fields that the struct would have.
        fields: &'static [&'static str],
    },
    /// Go's `bool`.
    Bool(bool),
    /// Go's `int`.
    Int(i64),
    /// Go's `uint64`.
    Uint(u64),
    /// Go's `string`.
    Text(String),
    /// Go's `time.Time`.
    Time(Box<ZonedDateTime>),
    /// A slice.
    List {
        /// Go's name of the slice's type.
        type_name: &'static str,
        /// The elements.
        items: Vec<Value>,
    },
    /// A struct, or a pointer to one that is not nil.
    Struct(Struct),
    /// A `map[string]string` or the like; keys in order.
    Map(Vec<(String, Value)>),
}

/// A Go struct.
#[derive(Debug, Clone, PartialEq)]
pub struct Struct {
    /// Go's name of the type, with a star for a pointer.
    pub type_name: &'static str,
    /// The fields in the order of the struct.
    pub fields: Vec<Field>,
}

/// A field of a Go struct.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Name in Go, which is the one templates use.
    pub name: &'static str,
    /// Name in JSON.
    pub json: &'static str,
    /// Left out of JSON while nil.
    pub omit_empty: bool,
    /// What it holds.
    pub value: Value,
}

impl Field {
    /// A field with one name in Go and in JSON.
    pub fn new(name: &'static str, value: impl Into<Value>) -> Self {
        Self {
            name,
            json: name,
            omit_empty: false,
            value: value.into(),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Uint(value)
    }
}

impl From<ZonedDateTime> for Value {
    fn from(time: ZonedDateTime) -> Self {
        Self::Time(Box::new(time))
    }
}

impl From<Struct> for Value {
    fn from(value: Struct) -> Self {
        Self::Struct(value)
    }
}

impl Value {
    /// Go's name of the value's type.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::NilPointer { type_name, .. } | Self::List { type_name, .. } => type_name,
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint64",
            Self::Text(_) => "string",
            Self::Time(_) => "time.Time",
            Self::Struct(value) => value.type_name,
            Self::Map(_) => "map[string]string",
        }
    }

    /// Go's notion of a condition: everything but the zero value; a struct is always true.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Nil | Self::NilPointer { .. } => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Uint(value) => *value != 0,
            Self::Text(text) => !text.is_empty(),
            Self::Time(_) | Self::Struct(_) => true,
            Self::List { items, .. } => !items.is_empty(),
            Self::Map(entries) => !entries.is_empty(),
        }
    }

    /// The value as Go's `%v` writes it.
    pub(super) fn display(&self) -> String {
        match self {
            Self::Nil | Self::NilPointer { .. } => "<nil>".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Uint(value) => value.to_string(),
            Self::Text(text) => text.clone(),
            Self::Time(time) => gotime::display(time),
            Self::List { items, .. } => {
                format!("[{}]", join(items.iter().map(Self::display)))
            }
            Self::Struct(value) => {
                format!(
                    "{{{}}}",
                    join(value.fields.iter().map(|field| field.value.display()))
                )
            }
            Self::Map(entries) => {
                let entries = entries
                    .iter()
                    .map(|(key, value)| format!("{key}:{}", value.display()));
                format!("map[{}]", join(entries))
            }
        }
    }
}

fn join(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(" ")
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Nil | Self::NilPointer { .. } => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => serializer.serialize_i64(*value),
            Self::Uint(value) => serializer.serialize_u64(*value),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Time(time) => serializer.serialize_str(&gotime::rfc3339(time)),
            Self::List { items, .. } => serializer.collect_seq(items),
            Self::Struct(value) => {
                let mut map = serializer.serialize_map(None)?;
                for field in &value.fields {
                    if !field.omit_empty || field.value.is_true() {
                        map.serialize_entry(field.json, &field.value)?;
                    }
                }
                map.end()
            }
            Self::Map(entries) => {
                serializer.collect_map(entries.iter().map(|(key, value)| (key, value)))
            }
        }
    }
}
