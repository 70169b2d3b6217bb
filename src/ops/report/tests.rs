//! Reports on real directories: what is in them, what never is, and what stops nothing.

use machine_provisioning::keys;

use super::*;
use crate::connection::ConnectionsFile;
use crate::hostconf::HostConf;
use crate::store::StoredMachine;
use crate::store::testing::{Bench, name};

const SECRET: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn premises(bench: &Bench) -> Premises {
    Premises {
        directories: bench.directories(),
        store: bench.store.clone(),
        connections: ConnectionsFile::at(bench.root.path().join("c.json")),
        hostconf: HostConf::in_directory(bench.root.path()),
    }
}

/// A machine with keys, and its private key.
fn make(bench: &Bench, text: &str) -> (StoredMachine, String) {
    let machine = bench.make(text);
    let key = keys::generate("machine").unwrap();
    fs_err::create_dir(machine.files.ssh_directory()).unwrap();
    fs_err::write(machine.files.secret(), format!("{SECRET}\n")).unwrap();
    fs_err::write(machine.files.ssh_client_key(), &key.private).unwrap();
    fs_err::write(machine.files.seed(), format!("seed {SECRET}")).unwrap();
    fs_err::write(machine.files.ignition(), "{}").unwrap();
    (machine, key.private)
}

/// The report as it is read again: paths without the first directory, and texts.
async fn reported(premises: &Premises) -> Vec<(String, String)> {
    let all = premises.store.names().unwrap();
    let report = gather(premises, &all).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("r.tar.gz");
    let written = report.write(&path).unwrap();
    let entries = archive::unpack(&path);
    assert_eq!(written.contents.len(), entries.len());
    let title = report.title();
    let entries = entries.into_iter().map(|entry| {
        let text = String::from_utf8_lossy(&entry.text).into_owned();
        let path = entry.path.replace('\\', "/");
        let path = path.strip_prefix(&format!("{title}/")).unwrap().to_owned();
        (path, text)
    });
    entries.collect()
}

fn of<'a>(report: &'a [(String, String)], path: &str) -> &'a str {
    let found = report.iter().find(|(found, _)| found == path);
    match found {
        Some((_, text)) => text,
        None => panic!("{path} is not in {report:#?}"),
    }
}

#[tokio::test]
async fn a_host_without_machines_has_a_report() {
    let bench = Bench::new();
    let report = reported(&premises(&bench)).await;
    let paths: Vec<&str> = report.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["README.txt", "host.txt", "versions.txt"]);
    assert!(of(&report, "README.txt").starts_with("This is a report"));
    assert!(!of(&report, "README.txt").contains("missing"));
}

#[tokio::test]
async fn what_is_secret_is_nowhere_and_all_else_is_there() {
    let bench = Bench::new();
    let (machine, key) = make(&bench, "vm");
    let (other, _) = make(&bench, "other");
    fs_err::write(other.files.secret(), "ff".repeat(32)).unwrap();
    let home = bench.root.path().display().to_string();
    let line = key.lines().nth(2).unwrap();
    let log = format!(
        "begin {home}/x\nsecret={SECRET}\nfrom {} of another\n{line}\nhttp://u:hunter2@proxy:1/\nend\n",
        "ff".repeat(32)
    );
    for path in [
        machine.files.console_log(),
        machine.files.supervisor_log(),
        machine.files.share_log(3),
        machine.files.old_events(),
        machine.files.vm_record(),
        machine.files.directory().join("console.log.old"),
    ] {
        fs_err::write(path, &log).unwrap();
    }
    fs_err::write(
        bench.root.path().join("config.toml"),
        "# x_token = \"tok\"\n",
    )
    .unwrap();
    let mut report = gather(&premises(&bench), &[name("vm")]).await.unwrap();
    report.add("doctor.json", Document::Json(serde_json::json!([SECRET])));
    report.note(format!("not {SECRET}"));
    let path = bench.root.path().join("r.tar.gz");
    report.write(&path).unwrap();
    let entries = archive::unpack(&path);
    let names: Vec<&str> = entries
        .iter()
        .filter_map(|entry| entry.path.rsplit('/').next())
        .collect();
    assert_eq!(
        names,
        [
            "README.txt",
            "host.txt",
            "versions.txt",
            "config.toml",
            "files.txt",
            "machine.toml",
            "vm.json",
            "events.jsonl.old",
            "console.log",
            "console.log.old",
            "supervisor.log",
            "share-3.log",
            "doctor.json"
        ]
    );
    for entry in &entries {
        let text = String::from_utf8_lossy(&entry.text);
        let path = &entry.path;
        for secret in [SECRET, line, "hunter2", "ffffffffffff", "\"tok\""] {
            assert!(!text.contains(secret), "{path}: {secret}: {text}");
        }
        assert!(!text.contains(&home), "{path}: {text}");
        if path.ends_with("console.log") {
            assert!(text.starts_with("begin ~/x\n"), "{text}");
            assert!(text.ends_with("@proxy:1/\nend\n"), "{text}");
        }
        if path.ends_with("files.txt") {
            assert!(text.contains("ssh"), "{text}");
            assert!(text.contains("seed.img"), "{text}");
        }
    }
}

#[tokio::test]
async fn a_broken_machine_and_a_large_log_stop_nothing() {
    let bench = Bench::new();
    let machine = bench.make("vm");
    fs_err::write(machine.files.config(), b"\xff\x00 no toml").unwrap();
    fs_err::create_dir(machine.files.vm_log()).unwrap();
    let log = "0123456789abcde\n".repeat((1 << 20) / 16 + 5);
    fs_err::write(machine.files.console_log(), log).unwrap();
    let report = reported(&premises(&bench)).await;
    assert!(of(&report, "machines/vm/machine.toml").contains("no toml"));
    let console = of(&report, "machines/vm/console.log");
    assert_eq!(console.len(), (1 << 20) - 16, "whole lines of the last MiB");
    let readme = of(&report, "README.txt");
    assert!(readme.contains("machines/vm/vm.log: `"), "{readme}");
    assert!(
        readme.contains("console.log has 1048656 bytes; its end is here"),
        "{readme}"
    );
}

#[tokio::test]
async fn there_is_a_limit_to_all_of_it() {
    let bench = Bench::new();
    let mut report = gather(&premises(&bench), &[]).await.unwrap();
    let before = report.entries.len();
    for number in 0..40 {
        let tail = read::Tail {
            text: vec![b'x'; 1 << 20],
            cut_from: None,
        };
        report.push_tail(&format!("{number}"), &tail);
    }
    assert!(report.size <= MOST);
    assert_eq!(report.entries.len() - before, 15);
    let long = "y".repeat(RESERVE / 2);
    report.add("document", Document::Text(long));
    assert_eq!(report.entries.len() - before, 16, "a command has room");
    report.add("last", Document::Text("z".repeat(RESERVE)));
    assert_eq!(report.entries.len() - before, 16);
    assert!(report.readme().contains("- 39 is left out"));
}

#[cfg(unix)]
#[tokio::test]
async fn links_and_pipes_in_a_machines_directory_are_not_read() {
    use std::os::unix::fs::symlink;
    let bench = Bench::new();
    let (machine, _) = make(&bench, "vm");
    let precious = bench.root.path().join("id_ed25519");
    fs_err::write(&precious, "precious words").unwrap();
    symlink(&precious, machine.files.console_log()).unwrap();
    fs_err::hard_link(&precious, machine.files.vm_log()).unwrap();
    for pipe in [machine.files.supervisor_log(), machine.files.ssh_host_key()] {
        let made = std::process::Command::new("mkfifo").arg(pipe).status();
        assert!(made.unwrap().success());
    }
    symlink(&precious, bench.root.path().join("config.toml")).unwrap();
    // A directory of another machine that is a link is no machine.
    let elsewhere = bench.root.path().join("elsewhere");
    fs_err::create_dir(&elsewhere).unwrap();
    fs_err::write(elsewhere.join("console.log"), "precious words").unwrap();
    symlink(&elsewhere, bench.store.directory().join("linked")).unwrap();
    let began = std::time::Instant::now();
    let report = reported(&premises(&bench)).await;
    assert!(began.elapsed() < deadlines::DOCTOR_LOOK.limit);
    for (path, text) in &report {
        assert!(!text.contains("precious"), "{path}: {text}");
    }
    let readme = of(&report, "README.txt");
    for name in ["console.log", "vm.log", "supervisor.log", "config.toml"] {
        assert!(readme.contains(name), "{name}: {readme}");
    }
    assert!(
        readme.contains("a secret of vm could not be looked for"),
        "{readme}"
    );
    let listing = of(&report, "machines/vm/files.txt");
    assert!(listing.contains("link"), "{listing}");
}
