//! How a guest gets out: by the hypervisor's own network with the host's name servers of the moment, by passt, and by
//! gvproxy.

use std::path::Path;
use std::process::Command;

use libtest_mimic::Trial;
use machine_host::process::ProcessIdentity;

use crate::support::command::{Running, begin, clean, eventually, run};
use crate::support::home::{BOOT, Home, SOON};
use crate::support::name_server;
use crate::support::stage::Stage;
use crate::support::{for_full, trial};
use crate::tour::word_server;

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = vec![trial(
        "network::names_follow_the_host_and_nothing_dies_without_a_server",
        names_follow_the_host,
    )];
    trials.extend(for_full(vec![
        trial(
            "network::gvproxy_carries_packets_and_its_end_is_told",
            gvproxy,
        ),
        trial(
            "network::passt_asks_the_name_servers_of_the_moment",
            passt_names,
        ),
    ]));
    trials
}

/// Something at QEMU's customary addresses, and no way out.
const CUT_OFF: &str = "busybox ip route add 10.0.2.0/24 dev lo";
/// A cable to nowhere, for programs that want a way out.
const CABLE: &str = "ip link add v0 type veth peer name v1 && busybox ip link set v0 up && busybox ip link set v1 up && \
     busybox ip address add 192.0.2.1/24 dev v0 && busybox ip route add default via 192.0.2.254";

/// A user's own network, with a resolv.conf of its own.
struct Island {
    holder: Running,
}

impl Island {
    fn new(resolver: &Path, network: &str) -> Self {
        let script = format!(
            "busybox ip link set lo up && {network} && mount --bind \"$0\" /etc/resolv.conf && exec sleep 100000"
        );
        let mut command = clean(Path::new("unshare"), Path::new("/"));
        command
            .args([
                "--user",
                "--map-root-user",
                "--net",
                "--mount",
                "sh",
                "-c",
                &script,
            ])
            .arg(resolver);
        let island = Self {
            holder: begin(&mut command, b""),
        };
        let mut cat = Command::new("cat");
        cat.arg("/etc/resolv.conf");
        let wanted = fs_err::read(resolver).expect("the test's own file");
        eventually("the island is there", SOON, || {
            let cat = run(&mut island.inside(&cat), b"", SOON);
            (cat.status.success() && cat.stdout == wanted).then_some(())
        });
        island
    }

    /// The same command, on the island.
    fn inside(&self, command: &Command) -> Command {
        let mut inside = Command::new("nsenter");
        inside
            .arg("--target")
            .arg(self.holder.child.id().to_string())
            .args(["--user", "--net", "--mount", "--preserve-credentials", "--"])
            .arg(command.get_program())
            .args(command.get_args())
            .env_clear();
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                inside.env(name, value);
            }
        }
        inside
    }
}

/// A name server on the island that knows every name by one address.
fn name_server(island: &Island, listen: &str, answer: &str) -> Running {
    let mut command = clean(&Stage::get().program("e2e"), Path::new("/"));
    command.env(name_server::ROLE, format!("{listen} {answer}"));
    begin(&mut island.inside(&command), b"")
}

/// What the guest makes of a name, once it makes something of it.
fn resolved(home: &Home, name: &str) -> String {
    let ask = ["exec", "m", "getent", "ahostsv4", name];
    eventually(&format!("{name} has an address"), BOOT, || {
        let asked = home.machine(&ask, BOOT);
        let first = asked.text().split_whitespace().next().map(str::to_owned);
        first.filter(|_| asked.status.success())
    })
}

/// In the stub guest, which asks the name server that it is told of, as every guest does.
fn names_follow_the_host() {
    let mut home = Home::new("names");
    let resolver = home.path().join("resolv.conf");
    let point_at = |text: &str| fs_err::write(&resolver, text).expect("the test's own file");
    point_at("nameserver 127.0.0.1\n");
    let island = Island::new(&resolver, CUT_OFF);
    let first = name_server(&island, "127.0.0.1:53", "192.0.2.7");
    let second = name_server(&island, "127.0.0.2:53", "192.0.2.8");
    home.init_stub("m", &[]);
    let start = home.command(&["start", "m"]);
    run(&mut island.inside(&start), b"", BOOT).succeeded();

    eventually("the guest has the free address", BOOT, || {
        let words = ["exec", "m", "busybox", "ip", "-4", "-o", "address"];
        let addresses = home.machine(&words, SOON).succeeded();
        addresses.contains(" 10.1.2.15/24 ").then_some(())
    });
    assert_eq!(resolved(&home, "one.example"), "192.0.2.7");
    point_at("nameserver 127.0.0.2\n");
    second_is_asked(&home);
    point_at("");
    drop((first, second));
    let lost = [
        "exec",
        "m",
        "timeout",
        "20",
        "getent",
        "ahostsv4",
        "none.example",
    ];
    assert!(!home.machine(&lost, BOOT).status.success());
    assert_eq!(home.listed("m", "Running"), true);
    point_at("nameserver 127.0.0.1\n");
    let _again = name_server(&island, "127.0.0.1:53", "192.0.2.7");
    assert_eq!(resolved(&home, "back.example"), "192.0.2.7");
    home.machine(&["stop", "m"], BOOT).succeeded();
    home.dispose().expect("nothing is left");
}

/// Waits for the second name server's answers.
fn second_is_asked(home: &Home) {
    eventually("the new name server is asked", BOOT, || {
        // A name of its own each time: the guest remembers.
        let name = format!("n{}.example", jiff::Timestamp::now().as_nanosecond());
        (resolved(home, &name) == "192.0.2.8").then_some(())
    });
}

fn passt_names() {
    let mut home = Home::new("passt-names");
    let resolver = home.path().join("resolv.conf");
    let point_at = |text: &str| fs_err::write(&resolver, text).expect("the test's own file");
    point_at("nameserver 127.0.0.1\n");
    let island = Island::new(&resolver, CABLE);
    let _first = name_server(&island, "127.0.0.1:53", "192.0.2.7");
    let _second = name_server(&island, "127.0.0.2:53", "192.0.2.8");
    home.init("m", &["--network", "passt"]);
    let start = home.command(&["start", "m"]);
    run(&mut island.inside(&start), b"", BOOT).succeeded();
    assert_eq!(resolved(&home, "one.example"), "192.0.2.7");
    point_at("nameserver 127.0.0.2\n");
    second_is_asked(&home);
    let events = home.machine(&["events", "m"], SOON).succeeded();
    assert!(!events.contains("degraded"), "{events}");
    bulk(&home, &island);
    home.machine(&["stop", "m"], BOOT).succeeded();
    assert_eq!(home.processes(), [""; 0]);
    home.dispose().expect("nothing is left");
}

/// More than any buffer holds, from a server on the island's loopback: neither end may wait for the other for ever.
fn bulk(home: &Home, island: &Island) {
    const BYTES: u64 = 64 << 20;
    let files = home.path().join("files");
    fs_err::create_dir(&files).expect("a directory can be made");
    let large = fs_err::File::create(files.join("large")).expect("a file can be made");
    large.set_len(BYTES).expect("it is sparse");
    let mut server = clean(Path::new("busybox"), Path::new("/"));
    server
        .args(["httpd", "-f", "-p", "127.0.0.1:8080", "-h"])
        .arg(&files);
    let _server = begin(&mut island.inside(&server), b"");
    let url = "http://host.containers.internal:8080/large";
    let fetch = [
        "exec",
        "m",
        "curl",
        "-s",
        "-o",
        "/dev/null",
        "-w",
        "%{size_download}",
        url,
    ];
    let fetched = home.machine(&fetch, BOOT).succeeded();
    assert_eq!(fetched, BYTES.to_string());
}

/// What a guest gets from a web server on the host's loopback, by this name of the host.
pub(crate) fn fetched(home: &Home, machine: &str, host: &str, port: u16) -> String {
    let url = format!("http://{host}:{port}/");
    let fetch = ["exec", machine, "curl", "-s", "--max-time", "20", &url];
    home.machine(&fetch, BOOT).text()
}

fn gvproxy() {
    let mut home = Home::new("gvproxy");
    let port = word_server("the host");
    home.init("m", &["--network", "gvproxy"]);
    home.machine(&["start", "m"], BOOT).succeeded();
    for name in ["host.containers.internal", "host.docker.internal"] {
        assert_eq!(fetched(&home, "m", name, port), "the host");
    }
    end_program(&home, "gvproxy");
    eventually("the loss is told", SOON, || {
        let events = home.machine(&["events", "m"], SOON).succeeded();
        events
            .contains("degraded: the guest has no network, for `gvproxy` has ended")
            .then_some(())
    });
    home.machine(&["stop", "m"], BOOT).succeeded();
    home.machine(&["start", "m"], BOOT).succeeded();
    assert_eq!(
        fetched(&home, "m", "host.containers.internal", port),
        "the host"
    );
    home.machine(&["stop", "m"], BOOT).succeeded();
    assert_eq!(home.processes(), [""; 0]);
    home.dispose().expect("nothing is left");
}

/// Kills the program that carries the packets of the home's only machine.
pub(crate) fn end_program(home: &Home, name: &str) {
    let record = fs_err::read(home.machine_dir("m").join("vm.json")).expect("there is a record");
    let record: serde_json::Value = serde_json::from_slice(&record).expect("it is JSON");
    assert_eq!(record["network"]["plan"]["egress"], name);
    let process = record["network"]["process"].clone();
    let process: ProcessIdentity = serde_json::from_value(process).expect("a process is noted");
    assert!(process.is_alive());
    process.kill().expect("it is the test's own");
}
