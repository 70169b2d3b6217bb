//! Several machines at the same time, each with ports, a folder of the host and connections of its own.

use std::path::PathBuf;
use std::process::Command;

use libtest_mimic::Trial;

use crate::support::command::{clean, run};
use crate::support::home::{BOOT, Home};
use crate::support::shared::{IMAGE, import_busybox, podman};
use crate::support::stage::Stage;
use crate::support::{for_full, trial};
use crate::tour::{exchange, free_port};

/// Their networks differ too.
const MACHINES: [(&str, &str); 3] = [("one", "built-in"), ("two", "passt"), ("three", "gvproxy")];

pub(crate) fn trials() -> Vec<Trial> {
    for_full(vec![trial(
        "many::three_machines_side_by_side_have_nothing_in_common",
        side_by_side,
    )])
}

struct Machine {
    name: &'static str,
    socket: PathBuf,
    port: u16,
}

fn side_by_side() {
    let mut home = Home::new("many");
    let machines = MACHINES.map(|(name, network)| {
        let folder = home.path().join(name);
        fs_err::create_dir(&folder).expect("a folder can be made");
        fs_err::write(folder.join("word"), name).expect("a file can be written");
        let volume = format!("{}:/mnt/word", folder.display());
        let more = ["--memory", "512", "--network", network, "--volume", &volume];
        home.init(name, &more);
        Machine {
            name,
            socket: home.api_socket(name),
            port: free_port(),
        }
    });
    home.machine(&["start", "--all"], BOOT * 3).succeeded();
    for machine in &machines {
        import_busybox(&home, &machine.socket);
        serve(&home, machine, machine.name, machine.port).succeeded();
    }
    for machine in &machines {
        let answer = exchange(
            &format!("127.0.0.1:{}", machine.port),
            b"GET /word HTTP/1.0\r\n\r\n",
        );
        let answer = String::from_utf8(answer.expect("the port is open")).expect("it is text");
        assert!(
            answer.ends_with(&format!("\r\n\r\n{}", machine.name)),
            "{answer}"
        );
        // By the machine's connection, which goes another way than its socket.
        let mut ps = clean(&Stage::get().program("podman-remote"), home.path());
        ps.env("XDG_RUNTIME_DIR", home.path())
            .env("PODMAN_CONNECTIONS_CONF", home.connections())
            .args(["--connection", machine.name, "ps", "--format", "{{.Names}}"]);
        assert_eq!(run(&mut ps, b"", BOOT).succeeded().trim(), machine.name);
    }
    // A port of the host is one machine's.
    let [one, two, three] = &machines;
    let clash = serve(&home, two, "clash", one.port);
    assert!(!clash.status.success());
    for word in ["address already in use", "machine `one`"] {
        assert!(clash.stderr.contains(word), "{word}: {}", clash.stderr);
    }
    // What one of them does concerns no other.
    home.machine(&["stop", "one"], BOOT).succeeded();
    assert!(exchange(&format!("127.0.0.1:{}", one.port), b"").is_err());
    for machine in [two, three] {
        exchange(&format!("127.0.0.1:{}", machine.port), b"").expect("it is open");
        assert_eq!(home.state(machine.name), "running");
    }
    home.machine(&["stop", "--all"], BOOT).succeeded();
    assert_eq!(home.processes(), [""; 0]);
    home.dispose().expect("nothing is left");
}

/// A web server of the machine's folder, as a container of this name, published at `port`.
fn serve(
    home: &Home,
    machine: &Machine,
    name: &str,
    port: u16,
) -> crate::support::command::Finished {
    let publish = format!("{port}:80");
    let mut command: Command = podman(home, &machine.socket);
    command.args(["run", "--detach", "--name", name]);
    command.args([
        "--publish",
        &publish,
        "--volume",
        "/mnt/word:/word:ro",
        IMAGE,
    ]);
    command.args(["httpd", "-f", "-h", "/word"]);
    run(&mut command, b"", BOOT)
}
