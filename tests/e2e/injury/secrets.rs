//! Secrets and other users, with a machine that runs: no secret is in what is written, listed or reported, and nothing of
//! the machine can be opened by somebody else. The guest is the stub.

use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use libtest_mimic::Trial;

use crate::images::web::{Files, Web};
use crate::support::command::{begin, eventually, run};
use crate::support::home::{BOOT, Home, SOON};
use crate::support::stage::Stage;
use crate::support::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("injury::secrets_and_other_users", all),
        trial("injury::secrets_of_a_machine_made_at_once", made_at_once),
    ]
}

const NAME: &str = "s";
/// The password of a proxy.
const PASSWORD: &str = "Hunter2-Hunter2-x9";
/// Another one's as it stands in a URL, and as it is.
const ENCODED: &str = "Hunter3%40Hunter3%2Fx9";
const DECODED: &str = "Hunter3@Hunter3/x9";
/// Of a web server that has the image.
const READER: &str = "Hunter4-Hunter4-x9";

fn all() {
    let home = Home::new("injury-secrets");
    home.init_stub(NAME, &[]);
    let said = ask(&home, &["--log-level", "debug", "start", NAME])
        + &ask(&home, &["exec", NAME, "true"])
        + &ask(&home, &["inspect", NAME])
        + &ask(&home, &["events", NAME])
        + &ask(&home, &["logs", NAME]);
    let report = home.path().join("report.tar.gz");
    let option = format!("--report={}", report.display());
    // It ends with 1 where something is wrong with the host.
    let doctor = run(&mut with_proxy(&home, &["doctor", &option]), b"", SOON);
    let said = said + &doctor.text() + &doctor.stderr;

    let secrets = secrets(&home, NAME);
    none("what commands say", said.as_bytes(), &secrets);
    reported(&home, &report, &secrets);
    // The guest has it, where nobody else looks.
    let seed = fs_err::read(home.machine_dir(NAME).join("seed.img")).expect("it is ours");
    for password in [PASSWORD, ENCODED] {
        let mut words = seed.windows(password.len());
        assert!(words.any(|window| window == password.as_bytes()));
    }
    logs(&home, NAME, &secrets);
    processes(&home, &secrets);
    private(&home);
    home.machine(&["stop", NAME], BOOT).succeeded();
}

/// By one command that knows all of them: it fetches the image, makes the machine and starts it.
fn made_at_once() {
    let home = Home::new("injury-now");
    let image = fs_err::read(Stage::get().stub_image()).expect("it is there");
    let files = Files::from([("/guest.qcow2".to_owned(), Arc::new(image))]);
    let web = Web::start(files, None, None);
    let url = web
        .url("/guest.qcow2")
        .replacen("//", &format!("//reader:{READER}@"), 1);
    let words = [
        "init",
        "--now",
        "--insecure",
        "--image",
        &url,
        "--memory",
        "512",
    ];
    let words = [&["--log-level", "debug"], &words[..], &["--disk-size", "1"]].concat();
    let mut init = with_proxy(&home, &[&words[..], &["--volume", "", NAME]].concat());
    let init = begin(init.env("NO_PROXY", "localhost"), b"");
    eventually("the VM runs", BOOT, || {
        let processes = home.processes();
        let mut lines = processes.iter();
        lines
            .any(|line| line.contains("qemu-system-"))
            .then_some(())
    });
    let secrets = secrets(&home, NAME);
    processes(&home, &secrets);
    // The stub cannot make a file system, so that this is a failure with all that is told of one.
    let made = init.finish(BOOT);
    assert!(
        made.stderr.contains("the guest has no `blkid`"),
        "{}",
        made.stderr
    );
    let said = made.text() + &made.failed();
    let said = said
        + &ask(&home, &["inspect", NAME])
        + &ask(&home, &["events", NAME])
        + &ask(&home, &["logs", "--supervisor", NAME])
        + &ask(&home, &["image", "list", "--format", "json"]);
    none("what commands say", said.as_bytes(), &secrets);
    logs(&home, NAME, &secrets);
    let report = home.path().join("report.tar.gz");
    let option = format!("--report={}", report.display());
    run(&mut with_proxy(&home, &["doctor", &option]), b"", SOON);
    reported(&home, &report, &secrets);
    // What is known of images, and the list of connections.
    for file in files_below(&home.path().join("data/images")) {
        if file.extension().is_some_and(|kind| kind == "toml") {
            let text = fs_err::read(&file).expect("it can be read");
            none(&file.display().to_string(), &text, &secrets);
        }
    }
    let connections = fs_err::read(home.connections()).expect("it was made");
    none("the connections", &connections, &secrets);
}

/// The report has files, and none of them has a secret.
fn reported(home: &Home, report: &Path, secrets: &[(&str, String)]) {
    let unpacked = home.path().join("report");
    fs_err::create_dir(&unpacked).expect("it can be made");
    let mut tar = Command::new("tar");
    tar.arg("-xzf").arg(report).arg("-C").arg(&unpacked);
    run(&mut tar, b"", SOON).succeeded();
    let files = files_below(&unpacked);
    assert!(files.len() > 3, "{files:?}");
    for file in files {
        let bytes = fs_err::read(&file).expect("it can be read");
        none(&file.display().to_string(), &bytes, secrets);
    }
}

fn with_proxy(home: &Home, words: &[&str]) -> Command {
    let proxy = format!("http://user:{PASSWORD}@proxy.test:3128");
    let mut command = home.command(words);
    command.env("HTTPS_PROXY", &proxy).env("http_proxy", proxy);
    command.env(
        "FTP_PROXY",
        format!("http://user:{ENCODED}@proxy.test:3128"),
    );
    command
}

/// All that the command says.
fn ask(home: &Home, words: &[&str]) -> String {
    let finished = run(&mut with_proxy(home, words), b"", BOOT);
    finished.stderr.clone() + &finished.succeeded()
}

/// What nobody may see, each with its name; of a key the middle line, which is that key's alone.
fn secrets(home: &Home, name: &str) -> Vec<(&'static str, String)> {
    let directory = home.machine_dir(name);
    let text = |name: &str| fs_err::read_to_string(directory.join(name)).expect("it is there");
    let key = |name: &str| {
        let text = text(name);
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len() / 2 + 1].to_owned()
    };
    let secrets = vec![
        ("password", PASSWORD.to_owned()),
        ("other proxy's password", ENCODED.to_owned()),
        ("other proxy's password", DECODED.to_owned()),
        ("web server's password", READER.to_owned()),
        ("secret of the link", text("secret").trim().to_owned()),
        ("user's key", key("ssh/id_ed25519")),
        ("host key", key("ssh/host_ed25519")),
    ];
    assert!(secrets.iter().all(|(_, secret)| secret.len() > 12));
    secrets
}

fn none(place: &str, bytes: &[u8], secrets: &[(&str, String)]) {
    for (name, secret) in secrets {
        let secret = secret.as_bytes();
        let found = bytes.windows(secret.len()).any(|window| window == secret);
        assert!(!found, "{place} has the {name}");
    }
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(directory).expect("it is there").flatten() {
        if entry.path().is_dir() {
            found.extend(files_below(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}

fn logs(home: &Home, name: &str, secrets: &[(&str, String)]) {
    let mut seen = 0;
    for file in files_below(&home.machine_dir(name)) {
        let kind = file.extension().unwrap_or_default().to_string_lossy();
        if ["log", "jsonl", "toml", "json", "old"].contains(&&*kind)
            && !file.ends_with("ignition.json")
        {
            none(
                &file.display().to_string(),
                &fs_err::read(&file).expect("it can be read"),
                secrets,
            );
            seen += 1;
        }
    }
    assert!(seen >= 4, "the logs are elsewhere: {seen}");
}

/// Command lines are everybody's to read. An environment is its user's, and has the proxy that the user gave.
fn processes(home: &Home, secrets: &[(&str, String)]) {
    let processes = home.processes();
    assert!(processes.iter().any(|line| line.contains(" supervise ")));
    assert!(processes.iter().any(|line| line.contains("qemu-system-")));
    for line in processes {
        // What the user types is the user's.
        if line.contains(" init ") {
            continue;
        }
        none("a command line", line.as_bytes(), secrets);
        let number = line.split(' ').next().expect("it has a number");
        let environment = fs_err::read(format!("/proc/{number}/environ")).expect("it is ours");
        let own = |(name, _): &&(&str, String)| !name.contains("password");
        let others: Vec<_> = secrets.iter().filter(own).cloned().collect();
        none("an environment", &environment, &others);
    }
}

/// Directories, sockets, keys, disks and logs are the user's alone, whatever the umask.
fn private(home: &Home) {
    let directory = home.machine_dir(NAME);
    let mut sockets = 0;
    for place in [
        home.path().join("data/machines"),
        directory.clone(),
        directory.join("ssh"),
    ] {
        assert_eq!(bits(&place), 0o700, "{}", place.display());
    }
    for entry in fs_err::read_dir(&directory).expect("it is there").flatten() {
        let kind = entry.file_type().expect("it is there");
        if kind.is_socket() {
            sockets += 1;
            assert_eq!(bits(&entry.path()), 0o600, "{}", entry.path().display());
        }
    }
    assert!(sockets >= 4, "{sockets} sockets");
    for name in [
        "secret",
        "ssh/id_ed25519",
        "ssh/host_ed25519",
        "seed.img",
        "ignition.json",
        "supervisor.log",
    ] {
        assert_eq!(bits(&directory.join(name)), 0o600, "{name}");
    }
}

fn bits(path: &Path) -> u32 {
    let metadata = fs_err::symlink_metadata(path).expect("it is there");
    metadata.permissions().mode() & 0o777
}
