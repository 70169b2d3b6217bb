//! Tests of the pair; URIs and keys are those of podman's behaviour, section 2.5.

use tempfile::TempDir;

use super::*;
use crate::store::testing::{config, name};

struct Bench {
    file: ConnectionsFile,
    config: MachineConfig,
    files: MachineFiles,
    _directory: TempDir,
}

impl Bench {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let machine = directory.path().join("machines").join("m1");
        let mut config = config("m1", machine.to_str().unwrap());
        config.uid = 1000;
        config.ssh_port = 41913;
        Self {
            file: ConnectionsFile::at(directory.path().join("c.json")),
            files: MachineFiles::new(machine.clone(), machine),
            config,
            _directory: directory,
        }
    }

    fn add(&self, scheme: Scheme, make_default: Option<bool>) {
        add(&self.file, &self.config, &self.files, scheme, make_default).unwrap();
    }

    fn put(&self, name: &str, uri: &str) {
        let insert = |connections: &mut Connections| {
            connections.insert(name, Connection::to(uri));
            Ok(())
        };
        self.file.edit(insert).unwrap();
    }

    fn names(&self) -> Vec<String> {
        let connections = self.file.read().unwrap();
        connections
            .iter()
            .map(|(name, _)| name.to_owned())
            .collect()
    }

    fn uri(&self, name: &str) -> String {
        self.file.read().unwrap().get(name).unwrap().uri.clone()
    }

    fn default(&self) -> String {
        let connections = self.file.read().unwrap();
        connections.default_name().unwrap_or_default().to_owned()
    }
}

#[test]
fn the_pair_is_podmans() {
    let bench = Bench::new();
    bench.add(Scheme::Ssh, None);
    let connections = bench.file.read().unwrap();
    let identity = bench.files.ssh_client_key().to_str().unwrap().to_owned();
    for (name, uri) in [
        (
            "m1",
            "ssh://core@127.0.0.1:41913/run/user/1000/podman/podman.sock",
        ),
        (
            "m1-root",
            "ssh://root@127.0.0.1:41913/run/podman/podman.sock",
        ),
    ] {
        let connection = connections.get(name).unwrap();
        assert_eq!(connection.uri, uri);
        assert_eq!(connection.identity, identity);
        assert!(connection.is_machine);
    }
}

#[test]
fn the_first_ever_is_the_default_and_it_is_the_modes() {
    let mut bench = Bench::new();
    bench.config.rootful = true;
    bench.add(Scheme::Ssh, Some(false));
    assert_eq!(bench.default(), "m1-root");
    for (make_default, expected) in [(None, "other"), (Some(false), "other"), (Some(true), "m1")] {
        let bench = Bench::new();
        bench.put("other", "tcp://h:1");
        bench.add(Scheme::Ssh, make_default);
        assert_eq!(bench.default(), expected);
    }
}

#[test]
fn a_taken_name_is_refused_in_podmans_words() {
    for taken in ["m1", "m1-root"] {
        let bench = Bench::new();
        bench.put(taken, "tcp://h:1");
        let result = add(&bench.file, &bench.config, &bench.files, Scheme::Ssh, None);
        assert_eq!(
            result.unwrap_err().to_string(),
            format!(
                "system connection \"{taken}\" already exists. consider a different machine name or remove the \
                 connection with `podman system connection rm`"
            )
        );
        assert_eq!(bench.names(), [taken]);
    }
}

#[test]
fn sockets_are_no_machines() {
    let bench = Bench::new();
    bench.add(Scheme::Socket, None);
    let connections = bench.file.read().unwrap();
    let socket = |path: std::path::PathBuf| format!("unix://{}", path.display());
    assert_eq!(
        *connections.get("m1").unwrap(),
        Connection::to(socket(bench.files.rootless_socket()))
    );
    assert_eq!(
        *connections.get("m1-root").unwrap(),
        Connection::to(socket(bench.files.rootful_socket()))
    );
    assert!(default_of(&connections, &bench.config));
    remove(&bench.file, &bench.files, || true).unwrap();
    assert_eq!(bench.names(), [""; 0]);
}

#[test]
fn removal_takes_what_belongs_to_the_machine_whatever_its_name() {
    let bench = Bench::new();
    bench.add(Scheme::Ssh, Some(true));
    bench.put("keep", "ssh://me@127.0.0.1:41913/run/podman/podman.sock");
    let rename = |connections: &mut Connections| {
        connections.rename("m1-root", "mine");
        Ok(())
    };
    bench.file.edit(rename).unwrap();
    bench.put("m1-root", "ssh://me@elsewhere:22/run/podman/podman.sock");
    remove(&bench.file, &bench.files, || false).unwrap();
    assert_eq!(
        bench.names().len(),
        4,
        "another machine has the name by now"
    );
    remove(&bench.file, &bench.files, || true).unwrap();
    assert_eq!(bench.names(), ["keep", "m1-root"]);
    assert_eq!(bench.default(), "");
    remove(&bench.file, &bench.files, || {
        panic!("nothing is left to ask for")
    })
    .unwrap();
}

#[test]
fn what_is_missing_is_completed_and_what_is_foreign_stays() {
    let bench = Bench::new();
    bench.put("m1-root", "ssh://me@elsewhere:22/p");
    let complete = || complete(&bench.file, &bench.config, &bench.files, Scheme::Ssh).unwrap();
    let expected = Completed {
        added: vec!["m1".to_owned()],
        foreign: vec!["m1-root".to_owned()],
    };
    assert_eq!(complete(), expected);
    assert_eq!(bench.uri("m1-root"), "ssh://me@elsewhere:22/p");
    assert_eq!(complete().added, [""; 0]);
    assert_eq!(bench.default(), "m1-root");
}

#[test]
fn orphans_are_swept_and_nothing_else() {
    let bench = Bench::new();
    bench.add(Scheme::Ssh, None);
    bench.put("x-root", "tcp://h:1");
    let files = |machine: &MachineName| {
        let directory = bench
            .files
            .directory()
            .parent()
            .unwrap()
            .join(machine.as_str());
        MachineFiles::new(directory.clone(), directory)
    };
    sweep(&bench.file, |_| None).unwrap();
    assert_eq!(bench.names().len(), 3);
    sweep(&bench.file, |machine| Some(files(machine))).unwrap();
    assert_eq!(bench.names(), ["x-root"]);
}

#[test]
fn a_new_port_keeps_everything_else() {
    let mut bench = Bench::new();
    bench.add(Scheme::Ssh, None);
    bench.put("foreign", "ssh://core@127.0.0.1:41913/x");
    bench
        .file
        .edit(|connections| {
            connections.rename("m1-root", "mine");
            Ok(())
        })
        .unwrap();
    bench.config.ssh_port = 2222;
    set_port(&bench.file, &bench.config, &bench.files).unwrap();
    assert_eq!(
        bench.uri("m1"),
        "ssh://core@127.0.0.1:2222/run/user/1000/podman/podman.sock"
    );
    assert_eq!(
        bench.uri("mine"),
        "ssh://root@127.0.0.1:2222/run/podman/podman.sock"
    );
    assert_eq!(bench.uri("foreign"), "ssh://core@127.0.0.1:41913/x");
    assert!(default_of(&bench.file.read().unwrap(), &bench.config));

    let sockets = Bench::new();
    sockets.add(Scheme::Socket, None);
    let before = sockets.file.read().unwrap();
    set_port(&sockets.file, &bench.config, &sockets.files).unwrap();
    assert_eq!(sockets.file.read().unwrap(), before);
}

#[test]
fn the_default_follows_the_mode_only_within_the_pair() {
    let bench = Bench::new();
    bench.add(Scheme::Ssh, None);
    bench.put("other", "tcp://h:1");
    let machine = name("m1");
    for (rootful, expected) in [
        (false, "m1"),
        (true, "m1-root"),
        (true, "m1-root"),
        (false, "m1"),
    ] {
        follow_mode(&bench.file, &machine, rootful).unwrap();
        assert_eq!(bench.default(), expected);
    }
    bench
        .file
        .edit(|connections| Ok(connections.set_default("other")))
        .unwrap();
    follow_mode(&bench.file, &machine, true).unwrap();
    assert_eq!(bench.default(), "other");
    assert!(make_default(&bench.file, &machine, true).unwrap());
    assert_eq!(bench.default(), "m1-root");
    assert!(!default_of(&bench.file.read().unwrap(), &bench.config));
    assert!(!make_default(&bench.file, &name("gone"), true).unwrap());
}

#[test]
fn what_is_wrong_with_a_pair_is_named() {
    let mut bench = Bench::new();
    let found = |bench: &Bench| {
        let connections = bench.file.read().unwrap();
        flaws(&connections, &bench.config, &bench.files)
    };
    let flaw = |name: &str, flaw| (name.to_owned(), flaw);
    assert_eq!(
        found(&bench),
        [flaw("m1", Flaw::Missing), flaw("m1-root", Flaw::Missing)]
    );
    bench.add(Scheme::Ssh, None);
    assert_eq!(found(&bench), []);
    bench.config.ssh_port += 1;
    assert_eq!(
        found(&bench),
        [flaw("m1", Flaw::Port), flaw("m1-root", Flaw::Port)]
    );
    set_port(&bench.file, &bench.config, &bench.files).unwrap();
    assert_eq!(found(&bench), []);
    // With the machine's key it may lead wherever the user wants.
    let astray = |connections: &mut Connections| {
        connections.get_mut("m1").unwrap().uri = "ssh://core@far:1/s".to_owned();
        Ok(())
    };
    bench.file.edit(astray).unwrap();
    assert_eq!(found(&bench), []);
    bench.put("m1", "ssh://core@127.0.0.1:41914/x");
    assert_eq!(found(&bench), [flaw("m1", Flaw::Foreign)]);
}
