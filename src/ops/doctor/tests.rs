//! Faults that are planted in real directories, and what follows from facts that cannot be planted.

mod lost;
mod room;

use machine_host::local_socket;
use machine_host::lock::FileLock;
use machine_host::process::ProcessIdentity;

use super::finding::Told;
use super::host::{
    DataFacts, FileFacts, NetworkFacts, NetworkProgram, judge_files, judge_open_files,
    judge_program, judge_survey,
};
use super::look::{DiskState, FileState, Look, MachineFacts, SmallFile};
use super::*;
use crate::connection::Connections;
use crate::connection::machine as pair;
use crate::connection::machine::Scheme;
use crate::machine::{DiskFormat, Network, Status};
use crate::provider::{Accelerator, ShareWay, Survey};
use crate::store::testing::{Bench, config, name};
use crate::store::{Leftover, StoredMachine};

/// A home with machines, and the doctor in it.
struct Home {
    bench: Bench,
    premises: Premises,
}

impl Home {
    fn new() -> Self {
        let bench = Bench::new();
        let premises = Premises {
            directories: bench.directories(),
            store: bench.store.clone(),
            connections: ConnectionsFile::at(bench.root.path().join("c.json")),
            hostconf: HostConf::in_directory(bench.root.path()),
        };
        Self { bench, premises }
    }

    /// A machine with all that it needs: a blank disk, its small files, its pair of connections.
    fn make(&self, text: &str) -> StoredMachine {
        self.bench.make(text);
        let change = |config: &mut crate::machine::MachineConfig| {
            config.disk = DiskFormat::Raw;
            config.resources.disk_gib = 1;
            Ok::<(), StoreError>(())
        };
        let guard = self.bench.store.edit(&name(text)).unwrap();
        guard.update(change).unwrap();
        let machine = self.bench.store.load(&name(text)).unwrap();
        let files = &machine.files;
        fs_err::create_dir(files.ssh_directory()).unwrap();
        for small in SmallFile::ALL {
            if small != SmallFile::Config {
                let private = machine_host::atomic::Access::Private;
                machine_host::atomic::write(&small.path(files), b"x", private).unwrap();
            }
        }
        fs_err::write(files.os_disk(DiskFormat::Raw), "").unwrap();
        let connections = &self.premises.connections;
        pair::add(connections, &machine.config, files, Scheme::Ssh, None).unwrap();
        machine
    }

    async fn found(&self, fix: bool) -> Vec<Finding> {
        Box::pin(examine(&self.premises, &[], fix)).await.unwrap()
    }

    /// The codes of what is wrong with the machine, and whether `--fix` would mend it.
    async fn wrong(&self, machine: &str) -> Vec<(&'static str, bool)> {
        let about = About::Machine(name(machine));
        let found = self.found(false).await.into_iter();
        let wrong = found.filter(|one| one.about == about && one.severity != Severity::Ok);
        wrong
            .map(|one| (one.code, matches!(one.mending, Mending::Offered(_))))
            .collect()
    }
}

/// Those of a code.
fn of<'a>(findings: &'a [Finding], code: &str) -> Vec<&'a Finding> {
    findings.iter().filter(|one| one.code == code).collect()
}

/// The only one of a code.
fn only<'a>(findings: &'a [Finding], code: &str) -> &'a Finding {
    match of(findings, code)[..] {
        [one] => one,
        _ => panic!("{code}: {findings:#?}"),
    }
}

#[tokio::test]
async fn whole_machines_that_are_stopped_are_well() {
    let home = Home::new();
    assert_eq!(of(&home.found(false).await, "status"), [] as [&Finding; 0]);
    home.make("a");
    home.make("b");
    for machine in ["a", "b"] {
        assert_eq!(home.wrong(machine).await, []);
    }
    let found = home.found(true).await;
    assert_eq!(of(&found, "status").len(), 2);
    assert!(
        found.iter().all(|one| one.mending == Mending::ByHand),
        "{found:#?}"
    );
    let machine = home.bench.store.load(&name("a")).unwrap();
    assert!(!machine.files.run_lock().exists(), "a look makes no file");
}

#[tokio::test]
async fn each_planted_fault_is_named_and_hides_no_other() {
    type Plant = fn(&StoredMachine);
    let cases: [(Plant, &[(&str, bool)]); 11] = [
        (
            |machine| fs_err::write(machine.files.config(), "format = 1").unwrap(),
            &[("unreadable", false)],
        ),
        (
            |machine| fs_err::remove_file(machine.files.config()).unwrap(),
            &[("unreadable", false)],
        ),
        (
            |machine| {
                fs_err::remove_file(machine.files.config()).unwrap();
                fs_err::create_dir(machine.files.config()).unwrap();
            },
            &[("unreadable", false)],
        ),
        (
            |machine| fs_err::remove_file(machine.files.secret()).unwrap(),
            &[("missing-file", true)],
        ),
        (
            |machine| fs_err::remove_file(machine.files.ssh_client_key()).unwrap(),
            &[("missing-file", false)],
        ),
        // Nothing is left to make it of.
        (
            |machine| {
                fs_err::remove_file(machine.files.known_hosts()).unwrap();
                fs_err::remove_file(machine.files.ssh_host_key()).unwrap();
            },
            &[("missing-file", false)],
        ),
        (
            |machine| {
                fs_err::remove_file(machine.files.ignition()).unwrap();
                fs_err::remove_file(machine.files.ssh_host_key()).unwrap();
            },
            &[("missing-file", false)],
        ),
        (
            |machine| {
                fs_err::remove_file(machine.files.ignition()).unwrap();
                fs_err::create_dir(machine.files.ignition()).unwrap();
            },
            &[("not-a-file", false)],
        ),
        (
            |machine| fs_err::remove_file(machine.files.os_disk(DiskFormat::Raw)).unwrap(),
            &[("disk", false)],
        ),
        (
            |machine| {
                fs_err::remove_file(machine.files.os_disk(DiskFormat::Raw)).unwrap();
                fs_err::create_dir(machine.files.os_disk(DiskFormat::Raw)).unwrap();
            },
            &[("disk", false)],
        ),
        // Neither is needed after the first boot, or before the next one.
        (
            |machine| {
                fs_err::remove_file(machine.files.ssh_host_key()).unwrap();
                fs_err::remove_file(machine.files.seed()).unwrap();
            },
            &[],
        ),
    ];
    let home = Home::new();
    home.make("well");
    for (number, (plant, expected)) in cases.iter().enumerate() {
        let text = format!("m{number}");
        plant(&home.make(&text));
        assert_eq!(home.wrong(&text).await, *expected, "{number}");
    }
    assert_eq!(home.wrong("well").await, []);
}

#[tokio::test]
async fn connections_are_completed_and_corrected() {
    let home = Home::new();
    home.make("m");
    let edit = |change: &dyn Fn(&mut Connections)| {
        let edited = home.premises.connections.edit(|connections| {
            change(connections);
            Ok(())
        });
        edited.unwrap();
    };
    edit(&|connections| {
        connections.remove("m-root");
        let uri = &mut connections.get_mut("m").unwrap().uri;
        *uri = uri.replace(":41913/", ":1/");
    });
    let expected = [("connection-missing", true), ("connection-port", true)];
    assert_eq!(home.wrong("m").await, expected);
    let found = home.found(true).await;
    let done = Mending::Done("added `m-root`".to_owned());
    assert_eq!(only(&found, "connection-missing").mending, done);
    assert!(
        !found
            .iter()
            .any(|one| one.about != About::Host && one.is_open_problem())
    );
    assert_eq!(home.wrong("m").await, []);
    let connections = home.premises.connections.read().unwrap();
    assert!(connections.get("m").unwrap().uri.contains(":41913/"));

    // One of somebody else's stays, and is not mended.
    edit(&|connections| {
        connections.get_mut("m").unwrap().identity = "/another/key".to_owned();
    });
    assert_eq!(home.wrong("m").await, [("connection-foreign", false)]);
    let found = home.found(true).await;
    assert!(only(&found, "connection-foreign").is_open_problem());

    // What they are like is not known: nothing is guessed.
    edit(&|connections| {
        connections.remove_all();
    });
    let own = home.bench.root.path().join("config.toml");
    fs_err::write(&own, "conection_scheme = \"socket\"").unwrap();
    let found = home.found(true).await;
    assert!(only(&found, "connection-missing").is_open_problem());
    assert_eq!(only(&found, "connection-missing").mending, Mending::ByHand);
    let config = only(&found, "config");
    assert!(config.what.contains("line 1"), "{config:?}");
    fs_err::write(&own, "connection_scheme = \"socket\"").unwrap();
    home.found(true).await;
    let connections = home.premises.connections.read().unwrap();
    assert!(connections.get("m").unwrap().uri.starts_with("unix://"));
}

#[tokio::test]
async fn what_killed_commands_left_is_cleared_away() {
    let home = Home::new();
    home.make("m");
    let machines = home.bench.store.directory().to_owned();
    let left = machines.join(".x.new-0123456789abcdef");
    fs_err::create_dir(&left).unwrap();
    fs_err::write(left.join("disk.raw"), "").unwrap();
    let foreign = machines.join(".notes");
    fs_err::write(&foreign, "").unwrap();
    let gone = machines.join("gone");
    let sockets = gone.display().to_string();
    let files = crate::store::MachineFiles::new(gone.clone(), gone);
    let connections = &home.premises.connections;
    pair::add(
        connections,
        &config("gone", &sockets),
        &files,
        Scheme::Ssh,
        None,
    )
    .unwrap();

    let found = home.found(false).await;
    let leftovers = only(&found, "leftovers");
    assert_eq!(leftovers.what, "Commands were interrupted: an `init` of x");
    assert_eq!(leftovers.hints, ["machine doctor --fix"]);
    assert!(!leftovers.is_open_problem(), "it is in nobody's way");
    let orphans = only(&found, "orphaned-connections");
    assert!(
        orphans.what.ends_with(": `gone`, `gone-root`"),
        "{orphans:?}"
    );
    assert!(left.exists(), "a look clears nothing away");

    let found = home.found(true).await;
    for code in ["leftovers", "orphaned-connections"] {
        let one = only(&found, code);
        assert!(matches!(one.mending, Mending::Done(_)), "{one:?}");
    }
    assert!(!left.exists() && foreign.exists());
    let found = home.found(false).await;
    assert_eq!(
        of(&found, "leftovers").len() + of(&found, "orphaned-connections").len(),
        0
    );
    assert_eq!(home.wrong("m").await, []);
}

#[tokio::test]
async fn a_lock_that_is_held_without_an_answer() {
    let home = Home::new();
    let machine = home.make("m");
    let held = FileLock::try_acquire(&machine.files.run_lock())
        .unwrap()
        .unwrap();
    assert_eq!(home.wrong("m").await, [("locked", false)]);
    drop(held);
    assert_eq!(home.wrong("m").await, []);
    // Another command is at the machine's files, and may have the lock for that.
    let _edit = FileLock::try_acquire(&machine.files.edit_lock())
        .unwrap()
        .unwrap();
    let _run = FileLock::try_acquire(&machine.files.run_lock())
        .unwrap()
        .unwrap();
    assert_eq!(home.wrong("m").await, []);
}

#[tokio::test]
async fn a_virtual_machine_without_a_supervisor_and_a_supervisor_without_words() {
    let home = Home::new();
    let machine = home.make("m");
    // Nothing of a machine that may run is taken for the rest of a dead one.
    let process = serde_json::to_value(ProcessIdentity::current().unwrap()).unwrap();
    let record = serde_json::json!({ "process": process, "build": "1" });
    fs_err::write(machine.files.vm_record(), record.to_string()).unwrap();
    assert_eq!(home.wrong("m").await, [("unmanaged", false)]);
    fs_err::remove_file(machine.files.vm_record()).unwrap();
    let _listener = local_socket::bind(&machine.files.control_socket()).unwrap();
    assert_eq!(home.wrong("m").await, [("busy", false)]);
}

#[test]
fn machines_are_named_once_and_must_be_there() {
    let all = || vec![name("a"), name("b")];
    assert_eq!(chosen(&[], all()).unwrap(), all());
    assert_eq!(chosen(&["b", "b"], all()).unwrap(), [name("b")]);
    let error = chosen(&["b", "../x"], all()).unwrap_err();
    assert_eq!(error.to_string(), "../x: VM does not exist");
}

/// A machine of which nothing is wrong, as it is seen.
fn facts_of_a_sound_one() -> MachineFacts {
    let files = crate::store::MachineFiles::new("/m".into(), "/m".into());
    let private = FileState::There {
        mode: Some(0o600),
        owner: Some(7),
    };
    MachineFacts {
        name: name("m"),
        config: Ok(config("m", "/m")),
        directory: FileState::There {
            mode: Some(0o700),
            owner: Some(7),
        },
        small: SmallFile::ALL
            .map(|small| (small, private.clone()))
            .to_vec(),
        disks: vec![("/m/disk".into(), DiskState::Fit(60 << 30))],
        data_disk: None,
        free: Some(40 << 30),
        network: None,
        status: Status::Stopped,
        is_locked: false,
        sockets: Vec::new(),
        files,
    }
}

/// The codes of what is wrong with what was seen; the user has the number 7.
fn judged(facts: &MachineFacts) -> Vec<&'static str> {
    let surroundings = Surroundings {
        connections: None,
        scheme: Some(Scheme::Ssh),
        user: Some(7),
        network: NetworkFacts::default(),
    };
    let findings = machine::judge(facts, &surroundings);
    assert_eq!(
        (findings[0].code, findings[0].severity),
        ("status", Severity::Ok)
    );
    findings[1..].iter().map(|one| one.code).collect()
}

#[test]
fn facts_and_what_follows_from_them() {
    type Change = fn(&mut MachineFacts);
    let cases: [(Change, &[&str]); 13] = [
        (|_| (), &[]),
        (|facts| facts.status = Status::Running, &[]),
        (|facts| facts.status = Status::Starting, &[]),
        (|facts| facts.status = Status::Stopping, &[]),
        (|facts| facts.status = Status::Unmanaged, &["unmanaged"]),
        (
            |facts| {
                facts.status = Status::Degraded {
                    reason: "no agent".to_owned(),
                }
            },
            &["degraded"],
        ),
        (|facts| facts.is_locked = true, &["locked"]),
        // A byte too little.
        (|facts| facts.free = Some((40 << 30) - 1), &["disk-space"]),
        (|facts| facts.free = None, &[]),
        (
            |facts| facts.disks[0].1 = DiskState::Unfit("it is no disk".to_owned()),
            &["disk"],
        ),
        (
            |facts| {
                facts.directory = FileState::There {
                    mode: Some(0o701),
                    owner: Some(7),
                }
            },
            &["open-file"],
        ),
        (
            |facts| {
                facts.small[1].1 = FileState::There {
                    mode: Some(0o600),
                    owner: Some(0),
                }
            },
            &["foreign-owner"],
        ),
        // Neither has a secret in it.
        (
            |facts| {
                for at in [0, 4] {
                    facts.small[at].1 = FileState::There {
                        mode: Some(0o644),
                        owner: Some(7),
                    };
                }
            },
            &[],
        ),
    ];
    for (number, (change, expected)) in cases.iter().enumerate() {
        let mut facts = facts_of_a_sound_one();
        change(&mut facts);
        assert_eq!(judged(&facts), *expected, "{number}");
    }
    // What belongs to somebody else cannot be closed by this user.
    let mut facts = facts_of_a_sound_one();
    facts.small[1].1 = FileState::There {
        mode: Some(0o644),
        owner: Some(0),
    };
    assert_eq!(judged(&facts), ["open-file", "foreign-owner"]);
    let surroundings = Surroundings {
        connections: None,
        scheme: None,
        user: Some(7),
        network: NetworkFacts::default(),
    };
    let findings = machine::judge(&facts, &surroundings);
    assert!(findings.iter().all(|one| one.mending == Mending::ByHand));
    for (at, small) in SmallFile::ALL.into_iter().enumerate() {
        let mut facts = facts_of_a_sound_one();
        facts.small[at].1 = FileState::There {
            mode: Some(0o640),
            owner: Some(7),
        };
        let is_secret = !matches!(small, SmallFile::Config | SmallFile::KnownHosts);
        assert_eq!(judged(&facts).len(), usize::from(is_secret), "{small:?}");
    }
}

#[test]
fn a_network_that_was_asked_for_and_is_not_there() {
    let home = Home::new();
    let machine = home.make("m");
    let guard = home.bench.store.edit(&machine.config.name).unwrap();
    let change = |config: &mut crate::machine::MachineConfig| {
        config.network = Network::Gvproxy;
        config.host_loopback = false;
        Ok::<(), StoreError>(())
    };
    guard.update(change).unwrap();
    drop(guard);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let store = home.bench.store.clone();
    let look = look::machine(store, name("m"), NetworkFacts::default());
    let Look::Seen(facts) = runtime.block_on(look) else {
        panic!("not seen");
    };
    let told = facts.network.clone().unwrap();
    assert!(
        told.hints.iter().any(|hint| hint.contains("machine set")),
        "{told:?}"
    );
    assert!(
        judged(&MachineFacts {
            network: Some(told),
            ..facts_of_a_sound_one()
        }) == ["network"]
    );
}

fn told(what: &str) -> Told {
    Told {
        what: what.to_owned(),
        why: String::new(),
        hints: vec!["do something".to_owned()],
    }
}

#[test]
fn what_a_provider_says_of_the_host() {
    let survey = Survey {
        program: "/usr/bin/vm".into(),
        version: "10.0".to_owned(),
        accelerator: Accelerator::Kvm,
        remarks: Vec::new(),
        shares: ShareWay::Virtiofs("/usr/libexec/virtiofsd".into()),
        share_remark: None,
    };
    let shown = |survey: Survey| -> Vec<(&'static str, Severity)> {
        let findings = judge_survey(&Ok(survey));
        findings
            .iter()
            .map(|one| (one.code, one.severity))
            .collect()
    };
    let (ok, note) = (Severity::Ok, Severity::Note);
    assert_eq!(
        shown(survey.clone()),
        [("hypervisor", ok), ("accelerator", ok), ("folders", ok)]
    );
    let by_virtiofs = [Ok(survey.clone())];
    let few = judge_open_files(&by_virtiofs, Some(20_000)).expect("a note");
    assert_eq!((few.code, few.severity), ("open-files", note));
    for most in [Some(524_288), None] {
        assert_eq!(judge_open_files(&by_virtiofs, most), None);
    }
    let slow = Survey {
        accelerator: Accelerator::Tcg,
        remarks: vec!["no `/dev/kvm`".to_owned(), "old".to_owned()],
        shares: ShareWay::NineP,
        share_remark: Some(("too old".to_owned(), "install it".to_owned())),
        ..survey
    };
    assert_eq!(judge_open_files(&[Ok(slow.clone())], Some(20_000)), None);
    let findings = judge_survey(&Ok(slow.clone()));
    assert_eq!(only(&findings, "accelerator").why, "no `/dev/kvm`; old");
    assert_eq!(only(&findings, "folders").why, "too old");
    assert_eq!(only(&findings, "folders").hints, ["install it"]);
    assert_eq!(
        shown(slow),
        [("hypervisor", ok), ("accelerator", note), ("folders", note)]
    );
    let missing = judge_survey(&Err(told("it was not found")));
    assert!(only(&missing, "hypervisor").is_open_problem());
    assert_eq!(missing[0].hints, ["do something"]);

    let program = NetworkProgram {
        name: "passt",
        install: "install the package `passt`",
        is_installed: true,
    };
    assert_eq!(judge_program(&program).severity, ok);
    let absent = judge_program(&NetworkProgram {
        is_installed: false,
        ..program
    });
    assert_eq!(absent.severity, note);
    assert!(
        absent.hints[0].contains("install the package"),
        "{absent:?}"
    );
}

#[test]
fn the_hosts_files() {
    type Change = fn(&mut FileFacts);
    let sound = || FileFacts {
        data: DataFacts {
            path: "/d".into(),
            owner: Some(7),
            obstacle: None,
            free: Some(5 << 30),
        },
        own: Ok(crate::hostconf::own::Settings::default()),
        containers: Ok(()),
        connections: Ok(Connections::default()),
        orphans: Vec::new(),
        leftovers: Ok(Some(Vec::new())),
        network: NetworkFacts::default(),
    };
    let (note, problem) = (Severity::Note, Severity::Problem);
    let cases: [(Change, &[(&str, Severity)]); 12] = [
        (|_| (), &[]),
        (
            |read| read.data.owner = Some(0),
            &[("data-directory", problem)],
        ),
        (|read| read.data.owner = None, &[]),
        (
            |read| read.data.obstacle = Some("read-only".to_owned()),
            &[("data-directory", problem)],
        ),
        (
            |read| read.data.free = Some((5 << 30) - 1),
            &[("free-space", note)],
        ),
        (
            |read| read.data.free = Some(512 << 20),
            &[("free-space", note)],
        ),
        (
            |read| read.data.free = Some((512 << 20) - 1),
            &[("free-space", problem)],
        ),
        (|read| read.data.free = None, &[]),
        (
            |read| read.containers = Err(told("x")),
            &[("containers-conf", problem)],
        ),
        (
            |read| read.connections = Err(told("x")),
            &[("connections", problem)],
        ),
        // Another command is at it.
        (|read| read.leftovers = Ok(None), &[]),
        (
            |read| read.leftovers = Ok(Some(vec![Leftover::Removed(name("x"))])),
            &[("leftovers", note)],
        ),
    ];
    for (number, (change, expected)) in cases.iter().enumerate() {
        let mut read = sound();
        change(&mut read);
        let findings = judge_files(&read, Some(7));
        let wrong = findings.iter().filter(|one| one.severity != Severity::Ok);
        let wrong: Vec<_> = wrong.map(|one| (one.code, one.severity)).collect();
        assert_eq!(wrong, *expected, "{number}");
    }
    // Anybody's files are root's.
    let mut read = sound();
    read.data.owner = Some(0);
    assert!(
        judge_files(&read, None)
            .iter()
            .all(|one| one.severity == Severity::Ok)
    );
}

/// Modes, links, pipes and sockets with names.
#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::os::unix::net::UnixListener;
    use std::path::Path;
    use std::time::{Duration, Instant};

    use super::*;

    fn set_mode(path: &Path, bits: u32) {
        fs_err::set_permissions(path, std::fs::Permissions::from_mode(bits)).unwrap();
    }

    fn mode(path: &Path) -> u32 {
        fs_err::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn keys_that_others_may_read_are_closed_and_links_are_left() {
        let home = Home::new();
        let machine = home.make("m");
        let files = &machine.files;
        set_mode(files.directory(), 0o755);
        set_mode(&files.ssh_client_key(), 0o644);
        set_mode(&files.known_hosts(), 0o644);
        let expected = [("open-file", true), ("open-file", true)];
        assert_eq!(home.wrong("m").await, expected);
        let found = home.found(true).await;
        assert!(
            of(&found, "open-file")
                .iter()
                .all(|one| !one.is_open_problem()),
            "{found:#?}"
        );
        assert_eq!(mode(&files.ssh_client_key()), 0o600);
        assert_eq!(mode(files.directory()), 0o700);
        assert_eq!(mode(&files.known_hosts()), 0o644, "it is no secret");
        assert_eq!(home.wrong("m").await, []);

        let elsewhere = home.bench.root.path().join("elsewhere");
        fs_err::write(&elsewhere, "").unwrap();
        set_mode(&elsewhere, 0o644);
        fs_err::remove_file(files.secret()).unwrap();
        symlink(&elsewhere, files.secret()).unwrap();
        home.found(true).await;
        assert_eq!(home.wrong("m").await, [("not-a-file", false)]);
        assert_eq!(mode(&elsewhere), 0o644, "a link is not followed");
    }

    #[tokio::test]
    async fn sockets_of_a_dead_run_go_and_nothing_else_does() {
        let home = Home::new();
        let machine = home.make("m");
        let files = &machine.files;
        for stale in [files.control_socket(), files.api_socket()] {
            drop(UnixListener::bind(stale).unwrap());
        }
        let alive = UnixListener::bind(files.network_socket()).unwrap();
        symlink(files.network_socket(), files.link_socket()).unwrap();
        fs_err::write(files.qmp_socket(), "precious").unwrap();
        let expected = [
            ("stale-sockets", true),
            ("not-a-socket", false),
            ("not-a-socket", false),
        ];
        assert_eq!(home.wrong("m").await, expected);
        let found = home.found(true).await;
        let done = Mending::Done("removed `control.sock`, `podman.sock`".to_owned());
        assert_eq!(only(&found, "stale-sockets").mending, done);
        assert!(!files.control_socket().exists() && !files.api_socket().exists());
        assert_eq!(fs_err::read(files.qmp_socket()).unwrap(), b"precious");
        assert!(files.link_socket().is_symlink() && files.network_socket().exists());
        drop(alive);
        assert_eq!(home.wrong("m").await[0], ("stale-sockets", true));
    }

    #[tokio::test]
    async fn a_machine_that_was_started_meanwhile_keeps_its_sockets() {
        let home = Home::new();
        let machine = home.make("m");
        drop(UnixListener::bind(machine.files.api_socket()).unwrap());
        let found = home.found(false).await;
        let mut finding = only(&found, "stale-sockets").clone();
        let held = FileLock::try_acquire(&machine.files.run_lock()).unwrap();
        fix::mend(&mut finding, &home.premises).await;
        assert!(matches!(&finding.mending, Mending::Failed(why) if why.contains("started")));
        drop(held);
        let process = serde_json::to_value(ProcessIdentity::current().unwrap()).unwrap();
        let record = serde_json::json!({ "process": process, "build": "1" });
        fs_err::write(machine.files.vm_record(), record.to_string()).unwrap();
        finding.mending = Mending::Offered(Remedy::RemoveSockets);
        fix::mend(&mut finding, &home.premises).await;
        assert!(matches!(&finding.mending, Mending::Failed(_)));
        assert!(machine.files.api_socket().exists());
    }

    #[tokio::test]
    async fn a_pipe_in_the_place_of_a_file_keeps_nobody_waiting() {
        let home = Home::new();
        let machine = home.make("m");
        home.make("well");
        for path in [
            machine.files.config(),
            machine.files.secret(),
            machine.files.os_disk(DiskFormat::Raw),
        ] {
            fs_err::remove_file(&path).unwrap();
            let made = std::process::Command::new("mkfifo").arg(&path).status();
            assert!(made.unwrap().success());
        }
        let begun = Instant::now();
        assert_eq!(
            home.wrong("m").await,
            [("not-a-file", false), ("unreadable", false)]
        );
        assert_eq!(home.wrong("well").await, []);
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "{:?}",
            begun.elapsed()
        );
    }

    #[tokio::test]
    async fn files_that_do_not_answer_are_told_and_nobody_waits() {
        let home = Home::new();
        let pipe = home.bench.root.path().join("config.toml");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        home.make("m");
        let found = home.found(false).await;
        assert!(only(&found, "unobserved").is_open_problem());
        assert_eq!(only(&found, "unobserved").about, About::Host);
        assert_eq!(
            of(&found, "status").len(),
            1,
            "machines are told of all the same"
        );
    }
}
