//! The rows of `port list`: for people, for templates and as JSON.

use serde::Serialize;

use super::gotemplate::{Field, Struct, Value};
use crate::machine::ports::PortOwner;
use crate::ops::port::ListedPort;

/// The fields that templates can name.
pub const FIELDS: [&str; 6] = ["Address", "Port", "Protocol", "GuestPort", "Owner", "State"];

fn owner(listed: &ListedPort) -> &'static str {
    match listed.owner {
        PortOwner::Container => "container",
        PortOwner::Configured => "configured",
        PortOwner::Listener => "listener",
    }
}

fn state(listed: &ListedPort) -> &'static str {
    if listed.open { "open" } else { "closed" }
}

/// Rows as the value that a template sees as dot.
pub fn rows(ports: &[ListedPort]) -> Value {
    let row = |listed: &ListedPort| {
        let port = listed.port.port();
        let values: [Value; 6] = [
            port.address.to_string().into(),
            u64::from(port.port).into(),
            port.protocol.word().to_owned().into(),
            u64::from(port.guest_port).into(),
            owner(listed).to_owned().into(),
            state(listed).to_owned().into(),
        ];
        let fields = FIELDS.iter().zip(values);
        Value::Struct(Struct {
            type_name: "machine.Port",
            fields: fields
                .map(|(name, value)| Field::new(name, value))
                .collect(),
        })
    };
    Value::List {
        type_name: "[]machine.Port",
        items: ports.iter().map(row).collect(),
    }
}

/// A row as JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PortJson {
    address: String,
    port: u16,
    protocol: &'static str,
    guest_port: u16,
    owner: &'static str,
    state: &'static str,
}

/// Rows as JSON.
pub fn json(ports: &[ListedPort]) -> Vec<PortJson> {
    let row = |listed: &ListedPort| {
        let port = listed.port.port();
        PortJson {
            address: port.address.to_string(),
            port: port.port,
            protocol: port.protocol.word(),
            guest_port: port.guest_port,
            owner: owner(listed),
            state: state(listed),
        }
    };
    ports.iter().map(row).collect()
}
