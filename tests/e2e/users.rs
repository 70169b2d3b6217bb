//! Two ordinary users on one host, who both have a machine of the same name. Each has what is theirs, and gets at nothing
//! of the other's, though the one's home is open to all and nothing hides new files.
//!
//! Only root can be both: `tests/run-e2e` names the users in [`USERS`] where it runs as root. Without it there are no such
//! tests. The guests are stubs.

use std::path::{Path, PathBuf};

use libtest_mimic::Trial;

use crate::support::command::{clean, run};
use crate::support::home::{BOOT, Home, Owner, SOON};
use crate::support::intruder::ways_in;
use crate::support::leftovers::leftovers;
use crate::support::listening::{Listening, listening};
use crate::support::{api, trial};
use crate::tour::free_port;

/// The variable with both names.
const USERS: &str = "MACHINE_E2E_USERS";
/// Of both machines.
const NAME: &str = "same";

pub(crate) fn trials() -> Vec<Trial> {
    let Ok(users) = std::env::var(USERS) else {
        return Vec::new();
    };
    let (one, other) = users.split_once(' ').expect("two names");
    let (one, other) = (one.to_owned(), other.to_owned());
    vec![trial(
        "users::two_with_machines_of_one_name_get_at_nothing_of_each_other",
        move || two(&one, &other),
    )]
}

struct User {
    owner: Owner,
    home: Home,
}

impl User {
    /// `home` is the name of the home directory.
    fn new(user: &str, home: &str, variables: &[(&'static str, PathBuf)]) -> Self {
        let owner = || Owner {
            user: user.to_owned(),
            variables: variables.to_vec(),
        };
        Self {
            owner: owner(),
            home: Home::of(owner(), home),
        }
    }

    fn machine(&self, words: &[&str]) -> String {
        self.home.machine(words, BOOT).succeeded()
    }

    fn numbers(&self) -> Vec<String> {
        let lines = self.home.processes();
        let number = |line: &String| line.split(' ').next().map(str::to_owned);
        lines.iter().filter_map(number).collect()
    }

    fn boot(&self) -> String {
        self.machine(&["exec", NAME, "cat", "/run/boot-id"])
    }

    /// The machine is there, and its engine.
    fn is_whole(&self) {
        let format = "{{.State}} {{.Health}}";
        let said = self.machine(&["inspect", "--format", format, NAME]);
        assert_eq!(said.trim(), "running healthy", "{}", self.owner.user);
        assert!(api::answers(&self.home.api_socket(NAME)));
        let names = self.machine(&["list", "--noheading", "--format", "{{.Name}}"]);
        assert_eq!(names.lines().count(), 1, "{names}");
    }
}

fn two(one: &str, other: &str) {
    // A session without a user manager, and no session at all, with sockets in a directory of their own.
    let runtime = Home::new("session");
    let variables = [("XDG_RUNTIME_DIR", runtime.path().to_owned())];
    let mut one = User::new(one, "one", &variables);
    let mut other = User::new(other, &format!("other-{}", "x".repeat(20)), &[]);
    let given = run(
        std::process::Command::new("chown")
            .arg(&one.owner.user)
            .arg(runtime.path()),
        b"",
        SOON,
    );
    given.succeeded();
    make(&one, &["--network", "passt", "--vsock", "user-first"]);
    make(&other, &["--network", "gvproxy"]);
    wants_the_port_of(&other, &one);
    let starts = [&one, &other].map(|user| user.home.begin(&["start", NAME]));
    for start in starts {
        start.finish(BOOT).succeeded();
    }
    for (user, programs) in [
        (&one, &["passt", "virtiofsd", "vhost-device-vsock"][..]),
        (&other, &["gvproxy", "virtiofsd"]),
    ] {
        user.is_whole();
        let processes = user.home.processes().join("\n");
        for program in [&["qemu-system-", " supervise "], programs].concat() {
            assert!(processes.contains(program), "{program}: {processes}");
        }
    }
    assert_ne!(one.boot(), other.boot());
    assert_ne!(
        one.home.listed(NAME, "Port"),
        other.home.listed(NAME, "Port")
    );
    nothing_leads_in(&one, &other, 7);
    nothing_leads_in(&other, &one, 7);
    published_once(&one, &other);
    uses_the_home_of(&other, &one);

    // What the one does to a machine of this name is done to that of the one.
    let boot = one.boot();
    other.machine(&["rm", "--force", NAME]);
    one.is_whole();
    assert_eq!(one.boot(), boot);
    assert_eq!(other.home.processes(), [""; 0]);
    for user in [&one, &other] {
        assert_eq!(leftovers(&user.home), [""; 0]);
    }
    one.home.dispose().expect("nothing is left");
    other.home.dispose().expect("nothing is left");
    let left = fs_err::read_dir(runtime.path()).expect("it is there");
    assert_eq!(left.count(), 0, "in the directory of the session");
}

/// A machine with a folder and whatever else a machine can have.
fn make(user: &User, more: &[&str]) {
    let folder = user.home.path().join("folder");
    let mut made = clean(Path::new("mkdir"), user.home.path());
    made.arg(&folder);
    run(&mut user.owner.run(&made), b"", SOON).succeeded();
    let volume = format!("{}:/mnt/folder", folder.display());
    user.home
        .init_stub(NAME, &[more, &["--volume", &volume]].concat());
}

/// Has the SSH port of the one be that of the other, as may happen between users, who do not see each other's machines.
fn wants_the_port_of(user: &User, other: &User) {
    let config = |user: &User| user.home.machine_dir(NAME).join("machine.toml");
    let text = |user: &User| fs_err::read_to_string(config(user)).expect("it was made");
    let line = |text: &str| {
        let line = text.lines().find(|line| line.starts_with("ssh_port"));
        line.expect("it has a port").to_owned()
    };
    let (own, wanted) = (text(user), text(other));
    let own = own.replace(&line(&own), &line(&wanted));
    fs_err::write(config(user), own).expect("it can be written");
}

/// What of the victim leads anywhere for the other: nothing but the port of the SSH server, which wants a key.
fn nothing_leads_in(victim: &User, other: &User, sockets: usize) {
    let Listening { unix, network } = listening(&victim.numbers());
    assert!(unix.len() >= sockets, "{unix:?}");
    assert!(unix.iter().all(|path| path.starts_with('/')), "{unix:?}");
    let port = victim.home.listed(NAME, "Port").as_u64().expect("a port");
    let loopback = format!("0100007F:{port:04X}");
    assert_eq!(network.into_iter().collect::<Vec<_>>(), [loopback]);

    let home = victim.home.path();
    let mut paths = below(home);
    paths.extend(unix.iter().cloned());
    for name in [
        "machine.toml",
        "ignition.json",
        "seed.img",
        "secret",
        "ssh/id_ed25519",
        "ssh/host_ed25519",
        "console.log",
        "supervisor.log",
        "events.jsonl",
        "control.sock",
    ] {
        let is_there = paths.iter().any(|path| path.ends_with(&format!("/{name}")));
        assert!(is_there, "{name}: {paths:?}");
    }
    let theirs = home.join("folder").display().to_string();
    paths.retain(|path| !path.starts_with(&theirs));
    let ways = ways_in(&other.owner, &paths);
    let connections = victim.home.connections().display().to_string();
    let home = home.display().to_string();
    let expected = |way: &String| {
        let (way, path) = way.split_once(' ').expect("a way and a path");
        // The home is open to all, and so is what podman keeps there, which has no secret.
        way == "list" && home.starts_with(path)
            || way == "read" && path.starts_with(&connections)
            || way == "list" && connections.starts_with(path)
    };
    let led: Vec<_> = ways.iter().filter(|way| !expected(way)).collect();
    assert_eq!(led, [""; 0], "{} gets in", other.owner.user);

    // The trial tries: its owner does get in.
    let control = paths.iter().find(|path| path.ends_with("/control.sock"));
    let control = control.expect("it is there").clone();
    let secret = victim.home.machine_dir(NAME).join("secret");
    let own = ways_in(
        &victim.owner,
        &[control.clone(), secret.display().to_string()],
    );
    let secret = secret.display();
    let expected = [
        format!("connect {control}"),
        format!("read {secret}"),
        format!("write {secret}"),
    ];
    assert_eq!(own, expected);
}

/// A directory and all that is in it, which root sees.
fn below(directory: &Path) -> Vec<String> {
    let mut found = vec![directory.display().to_string()];
    for entry in fs_err::read_dir(directory).expect("it is there").flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(below(&entry.path()));
        } else {
            found.push(entry.path().display().to_string());
        }
    }
    found
}

/// A port of the host is the first one's; the second is told so.
fn published_once(one: &User, other: &User) {
    let port = free_port();
    let forwarded = format!("127.0.0.1:{port}:7");
    one.machine(&["port", "add", &forwarded, NAME]);
    let error = other
        .home
        .machine(&["port", "add", &forwarded, NAME], SOON)
        .failed();
    assert!(error.contains(&port.to_string()), "{error}");
    other.is_whole();
    one.machine(&["port", "rm", &format!("127.0.0.1:{port}"), NAME]);
}

/// A command that keeps the variables of somebody else, as some programs that change the user do, gets nowhere and
/// changes nothing.
fn uses_the_home_of(user: &User, other: &User) {
    for words in [&["list"][..], &["stop", NAME], &["rm", "--force", NAME]] {
        let mut command = clean(
            &crate::support::stage::Stage::get().program("machine"),
            other.home.path(),
        );
        command.args(words);
        let error = run(&mut user.owner.run(&command), b"", SOON).failed();
        assert!(error.contains("ermission denied"), "{error}");
    }
    other.is_whole();
}
