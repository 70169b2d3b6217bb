//! A socket of the host in the guest and in containers, for as long as it is asked for: a real SSH agent.

use std::path::Path;
use std::process::Command;

use libtest_mimic::Trial;

use super::{Engine, each, says};
use crate::support::command::{Running, begin, clean, eventually, run};
use crate::support::home::{BOOT, Home, SOON};
use crate::support::shared::{IMAGE, NAME};

pub(super) fn trials() -> Vec<Trial> {
    each("sockets_of_the_host_on_request", on_request)
}

const PLACE: &str = "/run/host/agent.sock";

/// An SSH agent of the host with a key; what it lists.
fn ssh_agent(home: &Home, socket: &Path, comment: &str) -> (Running, String) {
    let program = |name: &str| clean(Path::new(name), home.path());
    let key = socket.with_extension("key");
    let mut keygen = program("ssh-keygen");
    keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f"]);
    says(keygen.arg(&key));
    let agent = begin(program("ssh-agent").arg("-D").arg("-a").arg(socket), b"");
    let at = |mut command: Command| {
        command.env("SSH_AUTH_SOCK", socket);
        command
    };
    eventually("the agent listens", SOON, || {
        let added = run(at(program("ssh-add")).arg(&key), b"", SOON);
        added.status.success().then_some(())
    });
    (agent, says(at(program("ssh-add")).arg("-l")))
}

/// What `ssh-add -l` says in the guest.
fn in_the_guest(home: &Home) -> String {
    let socket = format!("SSH_AUTH_SOCK={PLACE}");
    let asked = home.machine(&["exec", NAME, "env", &socket, "ssh-add", "-l"], BOOT);
    asked.text().trim_end().to_owned()
}

fn on_request(engine: &Engine<'_>) {
    let home = engine.home;
    let socket = engine.directory("sockets").join("a.sock");
    let (agent, listed) = ssh_agent(home, &socket, "a key of the host");
    assert!(listed.contains("a key of the host"), "{listed}");
    assert_ne!(in_the_guest(home), listed, "never by default");

    let set = |socket: &str| home.machine(&["set", "--forward-socket", socket, NAME], BOOT);
    let forward = format!("{}:{PLACE}", socket.display());
    let said = set(&forward);
    assert_eq!(said.stderr, "");
    said.succeeded();
    assert_eq!(in_the_guest(home), listed);
    // The guest's own program, for the image has none.
    let volumes = [
        format!("{PLACE}:{PLACE}"),
        "/usr:/usr:ro".to_owned(),
        "/lib:/lib:ro".to_owned(),
        "/lib64:/lib64:ro".to_owned(),
    ];
    let mut arguments = vec!["run", "--rm", "--network", "none", "--env"];
    let variable = format!("SSH_AUTH_SOCK={PLACE}");
    arguments.push(&variable);
    arguments.extend(volumes.iter().flat_map(|volume| ["--volume", volume]));
    arguments.extend([IMAGE, "/usr/bin/ssh-add", "-l"]);
    assert_eq!(engine.podman_says(&arguments), listed);

    // Nobody on the host: an end, and a word about it.
    drop(agent);
    assert_ne!(in_the_guest(home), listed);
    let events = home.machine(&["events", NAME], SOON).succeeded();
    assert!(
        events.contains("of the host takes no connection"),
        "{events}"
    );

    let reason = || {
        let format = "{{.Health}}: {{.Reason}}";
        let inspected = home.machine(&["inspect", "--format", format, NAME], SOON);
        inspected.succeeded().trim_end().to_owned()
    };
    set(&format!("ssh-agent:{PLACE}")).succeeded();
    let without = reason();
    assert!(without.contains("SSH_AUTH_SOCK named none"), "{without}");
    set("").succeeded();
    assert_eq!(reason(), "healthy:");
    let gone = home.machine(&["exec", NAME, "test", "-e", PLACE], SOON);
    assert_eq!(gone.status.code(), Some(1), "{}", gone.stderr);
}
