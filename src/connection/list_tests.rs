//! Tests of the list; the file's form is section 2.5 of podman's behaviour, the rules of the commands are section 1.6.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn parsed(value: Value) -> Connections {
    Connections::from_value(value).unwrap()
}

fn written(connections: &Connections) -> String {
    serde_json::to_string(connections).unwrap()
}

/// The example of section 2.5, in podman's own order of keys.
const EXAMPLE: &str = r#"{"Connection":{"Default":"m1","Connections":{"m1":{"URI":"ssh://core@127.0.0.1:41913/run/user/1000/podman/podman.sock","Identity":"/home/u/.local/share/containers/podman/machine/machine","IsMachine":true},"m1-root":{"URI":"ssh://root@127.0.0.1:41913/run/podman/podman.sock","Identity":"/home/u/.local/share/containers/podman/machine/machine","IsMachine":true}}},"Farm":{}}"#;

#[test]
fn podmans_bytes_come_back() {
    let connections = parsed(serde_json::from_str(EXAMPLE).unwrap());
    assert_eq!(written(&connections), EXAMPLE);
    assert_eq!(connections.default_name(), Some("m1"));
    assert!(connections.get("m1-root").unwrap().is_machine);
    // What an edit of podman 5 leaves behind after `remove --all`.
    assert_eq!(
        written(&Connections::default()),
        r#"{"Connection":{},"Farm":{}}"#
    );
}

#[test]
fn unknown_keys_stay_at_every_level() {
    let value = json!({
        "Connection": {
            "Default": "a",
            "Connections": { "a": { "URI": "tcp://h:1", "Proxy": { "x": [1, null] } }, "b": { "URI": "" } },
            "Policy": 3,
        },
        "Farm": { "List": { "f": ["a"] }, "Default": "f", "Extra": true },
        "Version": 7,
    });
    let mut connections = parsed(value.clone());
    assert_eq!(serde_json::to_value(&connections).unwrap(), value);
    connections.rename("a", "c");
    let after = serde_json::to_value(&connections).unwrap();
    assert_eq!(
        after["Connection"]["Connections"]["c"]["Proxy"],
        json!({ "x": [1, null] })
    );
    assert_eq!(after["Version"], 7);
    assert_eq!(after["Farm"]["List"]["f"], json!(["c"]));
}

#[test]
fn null_is_nothing_and_another_type_is_an_error() {
    for nothing in [
        json!(null),
        json!({}),
        json!({ "Connection": null, "Farm": { "List": null } }),
    ] {
        assert_eq!(parsed(nothing), Connections::default());
    }
    let cases = [
        (json!([]), ". a list an object"),
        (json!({ "Connection": [] }), "Connection a list an object"),
        (
            json!({ "Connection": { "Default": 1 } }),
            "Connection.Default a number a text",
        ),
        (
            json!({ "Connection": { "Connections": { "x": "y" } } }),
            "Connection.Connections.x a text an object",
        ),
        (
            json!({ "Connection": { "Connections": { "x": { "IsMachine": "yes" } } } }),
            "Connection.Connections.x.IsMachine a text true or false",
        ),
        (
            json!({ "Farm": { "List": { "f": "a" } } }),
            "Farm.List.f a text a list",
        ),
        (
            json!({ "Farm": { "List": { "f": [{}] } } }),
            "Farm.List.f an object a list of texts",
        ),
    ];
    for (value, expected) in cases {
        let error = Connections::from_value(value).unwrap_err();
        assert_eq!(
            format!("{} {} {}", error.key, error.found, error.wanted),
            expected
        );
    }
}

fn of(names: &[&str]) -> Connections {
    let mut connections = Connections::default();
    for name in names {
        connections.insert(name, Connection::to(format!("tcp://{name}:1")));
    }
    connections
}

#[test]
fn the_first_connection_ever_is_the_default() {
    let mut connections = of(&["b", "a"]);
    assert_eq!(connections.default_name(), Some("b"));
    assert!(connections.set_default("a"));
    assert!(!connections.set_default("x"));
    assert_eq!(connections.default_name(), Some("a"));
    connections.remove("a");
    assert_eq!(connections.default_name(), None);
    connections.insert("c", Connection::to("tcp://c:1"));
    assert_eq!(
        connections.default_name(),
        None,
        "it is not the first: `b` is there"
    );
    connections.remove_all();
    connections.insert("d", Connection::to("tcp://d:1"));
    assert_eq!(connections.default_name(), Some("d"));
}

#[test]
fn a_renamed_connection_replaces_and_its_default_follows() {
    let mut connections = of(&["a", "b"]);
    assert!(connections.rename("a", "b"));
    assert_eq!(connections.get("b").unwrap().uri, "tcp://a:1");
    assert_eq!(connections.iter().count(), 1);
    assert_eq!(connections.default_name(), Some("b"));
    assert!(!connections.rename("a", "c"));
    assert!(connections.rename("b", "b"));
    assert_eq!(connections.iter().count(), 1);
}

#[test]
fn farms_follow() {
    let mut connections = of(&["a", "b"]);
    connections.add_to_farm("f", "a");
    connections.add_to_farm("f", "a");
    connections.add_to_farm("g", "b");
    assert_eq!(connections.farm("f").unwrap(), ["a"]);
    assert_eq!(
        serde_json::to_value(&connections).unwrap()["Farm"]["Default"],
        "f"
    );
    connections.rename("b", "a");
    assert_eq!(connections.farm("g").unwrap(), ["a"]);
    connections.remove("a");
    assert_eq!(connections.farm("g").unwrap(), [""; 0]);
    connections.add_to_farm("f", "b");
    connections.remove_all();
    assert_eq!(connections.farm("f").unwrap(), [""; 0]);
}

/// Any JSON, with the known keys now and then.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    let key = prop_oneof![
        Just("Connection".to_owned()),
        Just("Connections".to_owned()),
        Just("Default".to_owned()),
        Just("Farm".to_owned()),
        Just("List".to_owned()),
        Just("URI".to_owned()),
        Just("IsMachine".to_owned()),
        "[a-z]{1,3}",
    ];
    leaf.prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key.clone(), inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn laws_of_any_json(value in any_json()) {
        if let Ok(connections) = Connections::from_value(value) {
            let again = serde_json::to_value(&connections).unwrap();
            prop_assert_eq!(Connections::from_value(again).unwrap(), connections);
        }
    }

    #[test]
    fn laws_of_edits(names in prop::collection::vec("[a-e]", 0..12), renames in prop::collection::vec(("[a-e]", "[a-e]"), 0..6)) {
        let mut connections = Connections::default();
        for name in &names {
            connections.insert(name, Connection::to(format!("tcp://{name}:1")));
        }
        for (old, new) in &renames {
            let before = connections.iter().count();
            let known = connections.get(old).is_some();
            prop_assert_eq!(connections.rename(old, new), known);
            prop_assert!(connections.iter().count() + 1 >= before);
        }
        if let Some(default) = connections.default_name() {
            prop_assert!(connections.get(default).is_some());
        }
    }
}
