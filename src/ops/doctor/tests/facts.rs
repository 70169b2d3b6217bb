//! What follows from facts that cannot be planted: of a machine, of the host's files and programs.

use super::super::finding::Told;
use super::super::host::{
    DataFacts, FileFacts, NetworkFacts, NetworkProgram, judge_files, judge_open_files,
    judge_program, judge_survey,
};
use super::super::look::{DiskState, FileState, Look, MachineFacts, SmallFile};
use super::super::*;
use super::{Home, only};
use crate::connection::Connections;
use crate::connection::machine::Scheme;
use crate::machine::{Network, Status};
use crate::provider::{Accelerator, ShareWay, Survey};
use crate::store::Leftover;
use crate::store::testing::{config, name};

/// A machine of which nothing is wrong, as it is seen.
pub(super) fn facts_of_a_sound_one() -> MachineFacts {
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
pub(super) fn judged(facts: &MachineFacts) -> Vec<&'static str> {
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
