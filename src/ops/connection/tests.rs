//! Tests of the commands around connections; texts are those of podman's behaviour, section 1.6.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tempfile::TempDir;

use super::add::plan;
use super::*;
use crate::hostconf::Destination;
use crate::store::testing::{Bench, config};

fn request(destination: &str) -> AddRequest {
    AddRequest {
        name: "a".to_owned(),
        destination: destination.to_owned(),
        ..AddRequest::default()
    }
}

fn uri_of(request: &AddRequest) -> String {
    match plan(request) {
        Ok(plan) => plan.uri.to_string(),
        Err(error) => error.to_string(),
    }
}

fn with(destination: &str, change: impl FnOnce(&mut AddRequest)) -> String {
    let mut request = request(destination);
    change(&mut request);
    uri_of(&request)
}

#[test]
fn ssh_gets_a_port_and_a_path() {
    for (destination, expected) in [
        ("ssh://me@host/p/q", "ssh://me@host:22/p/q"),
        ("me@host:2222/p", "ssh://me@host:2222/p"),
        ("ssh://[::1]/p", "ssh://[::1]:22/p"),
        ("ssh://h/p?q=1#f", "ssh://h:22/p?q=1#f"),
    ] {
        assert_eq!(uri_of(&request(destination)), expected);
    }
    let port = |number| move |request: &mut AddRequest| request.port = Some(number);
    assert_eq!(with("me@h/p", port(77)), "ssh://me@h:77/p");
    assert_eq!(with("me@h:88/p", port(77)), "ssh://me@h:88/p");
    assert_eq!(with("me@h/p", port(0)), "ssh://me@h:22/p");
    for number in [-1, 65536] {
        assert_eq!(
            with("me@h/p", port(number)),
            format!("port {number} is outside the range of 1 to 65535")
        );
    }
    let socket = |path: &str| {
        let path = path.to_owned();
        move |request: &mut AddRequest| request.socket_path = Some(path)
    };
    assert_eq!(with("me@h", socket("/x")), "ssh://me@h:22/x");
    assert_eq!(with("me@h/z", socket("x")), "ssh://me@h:22/x");
    assert!(plan(&request("me@h")).unwrap().ask.is_some());
    assert!(plan(&request("me@h/")).unwrap().ask.is_some());
    assert!(plan(&request("me@h/p")).unwrap().ask.is_none());
}

#[test]
fn options_of_another_scheme_are_refused() {
    let identity = |request: &mut AddRequest| request.identity = Some("k".to_owned());
    assert_eq!(
        with("unix:///a", identity),
        "--identity option not supported for unix scheme"
    );
    assert_eq!(
        with("tcp://h:1", identity),
        "--identity option not supported for tcp scheme"
    );
    assert_eq!(
        with("tcp://h:1", |request| request.socket_path =
            Some("/x".to_owned())),
        "--socket-path option not supported for tcp scheme"
    );
    for destination in ["ssh://h/p", "unix:///a"] {
        let scheme = &destination[..destination.find(':').unwrap()];
        assert_eq!(
            with(destination, |request| request.tls_cert =
                Some("c".to_owned())),
            format!("--tls-cert option not supported for {scheme} scheme")
        );
        assert_eq!(
            with(destination, |request| request.tls_ca = Some("c".to_owned())),
            format!("--tls-ca option not supported for {scheme} scheme")
        );
    }
}

#[test]
fn tcp_needs_a_port_and_a_whole_pair() {
    let no_port = "tcp scheme requires a port either via --port or in destination URL";
    for destination in ["tcp://h", "tcp://h:"] {
        assert_eq!(uri_of(&request(destination)), no_port);
    }
    assert_eq!(
        with("tcp://h", |request| request.port = Some(5)),
        "tcp://h:5"
    );
    assert_eq!(
        uri_of(&request("tcp://h:99999999")),
        "port 99999999 is outside the range of 1 to 65535"
    );
    assert_eq!(
        with("tcp://h:1", |request| request.tls_key =
            Some("k".to_owned())),
        "--tls-cert and --tls-key options must be both provided if one is provided"
    );
    let whole = |request: &mut AddRequest| {
        request.tls_key = Some("/k".to_owned());
        request.tls_cert = Some("/c".to_owned());
    };
    assert_eq!(with("tcp://h:1", whole), "tcp://h:1");
}

#[test]
fn a_path_is_looked_at() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("file");
    fs_err::write(&file, "").unwrap();
    let gone = directory.path().join("gone");
    let destination = |path: &std::path::Path| format!("unix://{}", path.display());
    let plan_of = |path: &std::path::Path| plan(&request(&destination(path)));
    if cfg!(unix) {
        assert_eq!(
            plan_of(&file).unwrap_err().to_string(),
            format!(
                "\"{}\" exists and is not a unix domain socket",
                file.display()
            )
        );
        assert_eq!(
            plan_of(&gone).unwrap().warnings,
            [format!("\"{}\" does not exist", gone.display())]
        );
    }
    assert_eq!(
        plan(&request("foo://x/y")).unwrap().warnings,
        ["\"foo\" unknown scheme, no validation provided"]
    );
}

#[test]
fn nothing_is_refused_clearly() {
    assert_eq!(uri_of(&request("")), "the destination must not be empty");
    assert_eq!(
        uri_of(&request("ssh:///p")),
        "destination \"ssh:///p\" names no host"
    );
    assert_eq!(
        with("tcp://h:1", |request| request.name.clear()),
        "the name of a connection must not be empty"
    );
}

#[tokio::test]
async fn a_connection_that_is_added() {
    let directory = TempDir::new().unwrap();
    let file = ConnectionsFile::at(directory.path().join("c.json"));
    let mut request = request("ssh://me:secret@h/p");
    request.identity = Some("key".to_owned());
    request.farm = Some("f".to_owned());
    let outcome = add(&file, &request, "podman").await.unwrap();
    assert_eq!(outcome.warnings.len(), 2, "{outcome:?}");
    assert!(outcome.warnings[1].contains("password"), "{outcome:?}");
    let connections = file.read().unwrap();
    let connection = connections.get("a").unwrap();
    assert_eq!(connection.uri, "ssh://me:secret@h:22/p");
    assert!(std::path::Path::new(&connection.identity).is_absolute());
    assert_eq!(connections.default_name(), Some("a"));
    assert_eq!(connections.farm("f").unwrap(), ["a"]);

    request.name = "b".to_owned();
    add(&file, &request, "podman").await.unwrap();
    assert_eq!(file.read().unwrap().default_name(), Some("a"));
    request.default = true;
    add(&file, &request, "podman").await.unwrap();
    assert_eq!(file.read().unwrap().default_name(), Some("b"));
}

#[test]
fn unknown_names() {
    let directory = TempDir::new().unwrap();
    let file = ConnectionsFile::at(directory.path().join("c.json"));
    let text = "\"x\" destination is not defined. See \"podman system connection add ...\" to create a connection";
    assert_eq!(set_default(&file, "x").unwrap_err().to_string(), text);
    assert_eq!(rename(&file, "x", "y").unwrap_err().to_string(), text);
    remove(&file, "x").unwrap();
    remove_all(&file).unwrap();
    assert!(!file.path().exists());
}

fn conf(active: Option<&str>) -> ContainersConf {
    let destination = |uri: &str| Destination {
        uri: uri.to_owned(),
        identity: Some("/k".to_owned()),
        ..Destination::default()
    };
    let mut conf = ContainersConf::default();
    conf.engine.active_service = active.map(str::to_owned);
    conf.engine.service_destinations = BTreeMap::from([
        ("a".to_owned(), destination("tcp://conf:1")),
        ("c".to_owned(), destination("tcp://conf:3")),
    ]);
    conf
}

#[test]
fn the_file_hides_what_is_configured() {
    let mut connections = Connections::default();
    for name in ["b", "a"] {
        connections.insert(name, Connection::to(format!("tcp://{name}:1")));
    }
    connections.remove("b");
    connections.insert("b", Connection::to("tcp://b:1"));
    let rows = |connections: &Connections, active| -> Vec<String> {
        let rows = list(connections, &conf(active)).into_iter();
        rows.map(|row| {
            format!(
                "{} {} {} {}",
                row.name, row.connection.uri, row.default, row.read_write
            )
        })
        .collect()
    };
    assert_eq!(
        rows(&connections, Some("c")),
        [
            "a tcp://a:1 false true",
            "b tcp://b:1 false true",
            "c tcp://conf:3 true false"
        ]
    );
    connections.set_default("a");
    assert_eq!(
        rows(&connections, Some("c"))[2],
        "c tcp://conf:3 false false"
    );
    assert_eq!(list(&connections, &conf(None))[2].connection.identity, "/k");
}

#[test]
fn the_marked_machine() {
    let bench = Bench::new();
    let machine = bench.make("vm");
    let file = ConnectionsFile::at(bench.root.path().join("c.json"));
    let marked = |config: &MachineConfig| {
        marks(
            &list(&file.read().unwrap(), &ContainersConf::default()),
            config,
        )
    };
    assert!(!marked(&machine.config));
    let after = |make_default| {
        after_start(
            &bench.store,
            &file,
            &machine.config,
            &machine.files,
            Scheme::Ssh,
            make_default,
        )
        .unwrap()
    };
    assert_eq!(after(false).added, ["vm", "vm-root"]);
    assert!(marked(&machine.config));
    assert!(!marked(&config("vm2", "/s")));
    let mut moved = machine.config.clone();
    moved.ssh_port += 1;
    assert!(!marked(&moved));

    rename(&file, "vm", "mine").unwrap();
    file.edit(|connections| {
        connections.insert("vm", Connection::to("tcp://h:1"));
        Ok(())
    })
    .unwrap();
    assert_eq!(after(true).foreign, ["vm"]);
    assert_eq!(file.read().unwrap().default_name(), Some("mine"));
    bench
        .store
        .edit(&machine.config.name)
        .unwrap()
        .remove()
        .unwrap();
    crate::connection::machine::sweep(&file, |name| bench.store.absent(name)).unwrap();
    assert!(file.read().unwrap().get("vm-root").is_none());
}

proptest! {
    #[test]
    fn laws_of_destinations(
        destination in "\\PC{0,30}|(ssh|tcp|unix|x)://[a-z:/@%\\[\\]?#.0-9-]{0,20}",
        port in proptest::option::of(any::<i64>()),
        path in proptest::option::of("\\PC{0,8}"),
    ) {
        let mut request = request(&destination);
        request.port = port;
        request.socket_path = path;
        if let Ok(plan) = plan(&request) {
            prop_assert!(!plan.uri.to_string().is_empty());
        }
    }
}
