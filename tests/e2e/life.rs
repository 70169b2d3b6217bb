//! The life of a machine: made, started, rebooted, stopped, started again, removed. What happens when a process is killed
//! on the way is in [`deaths`](crate::deaths).

use libtest_mimic::Trial;

use crate::exec::{come_in_order, events};
use crate::facts::Given;
use crate::network::{end_program, fetched};
use crate::support::command::{eventually, run};
use crate::support::home::{BOOT, Home, SOON};
use crate::support::shared::{self, IMAGE, podman};
use crate::support::stage::Stage;
use crate::support::{api, for_full, trial};
use crate::tour::word_server;

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = vec![
        trial("life::followed_from_init_to_rm", whole_life),
        trial("life::doctor_names_what_is_wrong_and_mends_it", doctor),
    ];
    trials.extend(for_full(vec![
        trial(
            "life::rootful_killed_start_command_and_reboot_inside_the_guest",
            rootful_life,
        ),
        trial("life::selftest_makes_uses_and_removes_a_machine", selftest),
    ]));
    trials
}

fn selftest() {
    let mut home = Home::new("selftest");
    let report = home.path().join("r.tar.gz");
    let option = format!("--report={}", report.display());
    let image = Stage::get().guest_image();
    let image = image.to_str().expect("the stage's path is text");
    let arguments = ["selftest", "--image", image, "--format", "json", &option];
    let ended = home.machine(&arguments, BOOT);
    let stderr = ended.stderr.clone();
    let steps: serde_json::Value = serde_json::from_str(&ended.succeeded()).expect("JSON");
    let steps = steps.as_array().expect("a list");
    let words: Vec<_> = steps
        .iter()
        .filter_map(|step| step["Step"].as_str())
        .collect();
    let all = [
        "init", "start", "ping", "version", "exec", "port", "stop", "rm",
    ];
    assert_eq!(words, all, "{stderr}");
    for step in steps {
        assert_eq!(step["Outcome"], "passed", "{step}");
    }
    assert!(stderr.contains("console.log"), "{stderr}");
    assert!(report.is_file());
    let list = home.machine(&["list", "--noheading", "--quiet"], SOON);
    assert_eq!(list.succeeded(), "");
    fs_err::remove_file(&report).expect("it can be removed");
    home.dispose().expect("nothing is left");
}

/// Nothing is booted: the faults are planted in the files of a stopped machine.
fn doctor() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = Home::new("doctor");
    home.init("d", &[]);
    home.init("e", &[]);
    let text = home.machine(&["doctor"], SOON).succeeded();
    assert!(text.starts_with("host: ok\n"), "{text}");
    assert!(
        text.contains("\nmachine d: ok\n") && text.contains("\nmachine e: ok\n"),
        "{text}"
    );

    let key = home.machine_dir("d").join("ssh/id_ed25519");
    let mode = |bits| std::fs::Permissions::from_mode(bits);
    fs_err::set_permissions(&key, mode(0o644)).expect("it is ours");
    let socket = home.api_socket("d");
    drop(std::os::unix::net::UnixListener::bind(&socket).expect("nobody is there"));
    home.machine(&["system", "connection", "rm", "d-root"], SOON)
        .succeeded();
    let killed = home.path().join("data/machines/.f.new-0123456789abcdef");
    fs_err::create_dir(&killed).expect("it is ours");
    fs_err::write(home.machine_dir("e").join("machine.toml"), "format").expect("it is ours");

    let ended = home.machine(&["doctor", "d"], SOON);
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    let text = ended.text();
    assert!(text.contains("\nmachine d: 2 problems\n"), "{text}");
    for part in [
        "id_ed25519` is open to other users",
        "`podman.sock`",
        "no connection `d-root`",
        "an `init` of f",
        "hint: machine doctor --fix d\n",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("machine e"), "only what was named: {text}");
    assert!(socket.exists() && killed.exists(), "a look changes nothing");

    let ended = home.machine(&["doctor", "--fix", "--format", "json"], SOON);
    assert_eq!(ended.status.code(), Some(1), "`e` cannot be mended");
    let found: serde_json::Value = serde_json::from_str(&ended.text()).expect("JSON");
    let found = found.as_array().expect("a list");
    let fixed = found.iter().filter(|one| one["Fixed"] == true);
    let fixed: Vec<_> = fixed
        .map(|one| one["Code"].as_str().expect("text"))
        .collect();
    let expected = [
        "leftovers",
        "stale-sockets",
        "open-file",
        "connection-missing",
    ];
    assert_eq!(fixed, expected);
    let left = found
        .iter()
        .filter(|one| one["Severity"] == "problem" && one["Fixed"] == false);
    let left: Vec<_> = left.map(|one| (&one["Machine"], &one["Code"])).collect();
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(left[0].0 == "e" && left[0].1 == "unreadable", "{left:?}");
    assert!(!socket.exists() && !killed.exists());
    home.machine(&["doctor", "d"], SOON).succeeded();
    let error = home.machine(&["doctor", "nobody"], SOON).failed();
    assert!(
        error.starts_with("Error: nobody: VM does not exist\n"),
        "{error}"
    );
    // What is not listed is not removed with the home.
    home.machine(&["rm", "--force", "e"], SOON).succeeded();
}

/// One machine for all of its life, beside the commands that follow it.
fn whole_life() {
    let mut home = Home::new("life");
    home.init("m", &[&["--network", "passt"], &Given::INIT[..]].concat());
    assert_eq!(home.state("m"), "stopped");
    let socket = home.api_socket("m");
    assert!(!socket.exists(), "no socket while stopped");
    let error = home.machine(&["exec", "m", "true"], SOON).failed();
    assert_eq!(
        error,
        "Error: vm \"m\" is not running\nhint: start it: machine start m\n"
    );
    assert_eq!(home.machine(&["events", "m"], SOON).succeeded(), "");
    let events_of = home.begin(&["events", "-f", "--format", "json", "m"]);
    let logs_of = home.begin(&["logs", "-f", "m"]);

    interrupted_start(&home);

    let mut start = home.command(&["start", "m"]);
    let given = Given::by(&mut start);
    let started = run(&mut start, b"", BOOT);
    let stderr = started.stderr.clone();
    let text = started.succeeded();
    assert!(text.starts_with("Starting machine \"m\"\n"), "{text}");
    assert!(
        text.contains(&format!("export DOCKER_HOST='unix://{}'", socket.display())),
        "{text}"
    );
    assert!(
        text.ends_with("Machine \"m\" started successfully\n"),
        "{text}"
    );
    assert!(
        api::answers(&socket),
        "answers as soon as `start` has returned"
    );

    given.came(&home, &stderr);
    network_comes_back(&home);

    let text = home.machine(&["stop", "m"], BOOT).succeeded();
    assert!(
        text.ends_with("Machine \"m\" stopped successfully\n"),
        "{text}"
    );
    assert_eq!(home.state("m"), "stopped");
    assert!(!socket.exists(), "stopped: clients fail at once");
    let mut left = home.processes();
    left.retain(|line| !line.contains(" -f "));
    assert_eq!(left, [""; 0], "no process is left but those that follow");
    home.machine(&["stop", "m"], SOON).succeeded();

    // A newer agent comes with the next start, by the seed alone.
    let newer = home.path().join("agents");
    fs_err::create_dir_all(&newer).expect("a directory can be made");
    let agent = newer.join(Stage::get().agent().file_name().expect("a file"));
    let mut program = fs_err::read(Stage::get().agent()).expect("the agent can be read");
    let build = format!("machine-agent {}", env!("CARGO_PKG_VERSION"));
    // The compiler may have put the text into several places.
    let places: Vec<usize> = program
        .windows(build.len())
        .enumerate()
        .filter_map(|(at, window)| (window == build.as_bytes()).then_some(at))
        .collect();
    assert!(!places.is_empty(), "the agent names its build");
    for at in places {
        program[at + build.len() - 1] = b'9';
    }
    fs_err::write(&agent, program).expect("the agent can be written");
    home.machine(&["set", "--host-loopback=false", "m"], SOON)
        .succeeded();
    let mut start = home.command(&["start", "m"]);
    Given::other(&home, &mut start);
    let started = run(start.env("MACHINE_AGENT_DIR", &newer), b"", BOOT);
    let stderr = started.stderr.clone();
    started.succeeded();
    Given::went(&home, &stderr);
    assert!(api::answers(&socket), "answers after stop and start");
    host_is_closed(&home);
    let log = fs_err::read_to_string(home.machine_dir("m").join("events.jsonl"))
        .expect("there is an event log");
    let last = log
        .lines()
        .rfind(|line| line.contains("\"link-up\""))
        .expect("the link came up");
    let mut newer_build = build.clone();
    newer_build.replace_range(build.len() - 1.., "9");
    assert!(last.contains(&newer_build), "{last}");

    home.machine(&["stop", "m"], BOOT).succeeded();
    home.machine(&["rm", "--force", "m"], BOOT).succeeded();
    assert!(!home.machine_dir("m").exists());
    // Both end with their machine.
    let events = events(&events_of.finish(SOON).succeeded());
    let life = ["phase", "launched", "ready", "stopping", "stopped"];
    assert!(come_in_order(&events, &[life, life].concat()), "{events:?}");
    let console = logs_of.finish(SOON).succeeded();
    assert_eq!(console.matches("Debian GNU/Linux").count(), 2, "{console}");
    assert_eq!(home.processes(), [""; 0]);
    home.dispose().expect("nothing is left");
}

/// The program that carries the packets dies; another one takes its place, and the guest sees no more than a pause.
fn network_comes_back(home: &Home) {
    let port = word_server("the host");
    let host = "host.containers.internal";
    assert_eq!(fetched(home, "m", host, port), "the host");
    end_program(home, "passt");
    eventually("the network is back", BOOT, || {
        (fetched(home, "m", host, port) == "the host").then_some(())
    });
    assert_eq!(count(home, "m", "`passt` has ended"), 1);
    assert_eq!(count(home, "m", "\"recovered\""), 1);
}

/// The guest reaches nothing on the host's loopback, and knows no name for it.
fn host_is_closed(home: &Home) {
    let port = word_server("the host");
    assert_eq!(fetched(home, "m", "10.0.2.2", port), "");
    let hosts = home.machine(&["exec", "m", "cat", "/etc/hosts"], SOON);
    let hosts = hosts.succeeded();
    assert!(!hosts.contains("host.containers.internal"), "{hosts}");
}

/// A start that is interrupted once its VM runs leaves a stopped machine, which is as good as before.
fn interrupted_start(home: &Home) {
    let start = home.begin(&["start", "m"]);
    eventually("the VM runs", BOOT, || {
        (count(home, "m", "\"launched\"") > 0).then_some(())
    });
    interrupt(start.child.id());
    let error = start.finish(SOON).failed();
    assert!(error.contains("interrupted"), "{error}");
    assert_eq!(home.state("m"), "stopped");
    assert_eq!(home.listed("m", "Running"), false);
}

pub(crate) fn count(home: &Home, name: &str, what: &str) -> usize {
    let log =
        fs_err::read_to_string(home.machine_dir(name).join("events.jsonl")).unwrap_or_default();
    log.lines().filter(|line| line.contains(what)).count()
}

fn rootful_life() {
    let home = Home::new("rootful");
    home.init("r", &["--rootful"]);
    let socket = home.api_socket("r");

    let mut start = home.begin(&["start", "r"]);
    eventually("the start is under way", BOOT, || {
        (home.state("r") == "starting").then_some(())
    });
    assert_eq!(home.listed("r", "Starting"), true);
    start.child.kill().expect("a child can be killed");
    start.child.wait().expect("a child can be waited for");
    eventually("the machine gets up all the same", BOOT, || {
        (home.state("r") == "running").then_some(())
    });
    assert!(api::answers(&socket));

    let text = run(
        podman(&home, &socket).args(["info", "--format", "{{.Host.Security.Rootless}}"]),
        b"",
        BOOT,
    )
    .succeeded();
    assert_eq!(text.trim(), "false");

    // A reboot from inside, as a user would do it: the guest's own service manager.
    shared::import_busybox(&home, &socket);
    let launched = count(&home, "r", "\"launched\"");
    let links = count(&home, "r", "\"link-up\"");
    let reboot = [
        "run",
        "--rm",
        "--privileged",
        "--pid=host",
        IMAGE,
        "nsenter",
        "-t",
        "1",
        "-m",
        "systemctl",
        "reboot",
    ];
    // The connection may be cut before the container's exit code arrives.
    run(podman(&home, &socket).args(reboot), b"", BOOT);
    eventually("the guest comes back", BOOT, || {
        (count(&home, "r", "\"link-up\"") > links).then_some(())
    });
    eventually("the machine is whole again", BOOT, || {
        (home.state("r") == "running" && api::answers(&socket)).then_some(())
    });
    assert_eq!(
        count(&home, "r", "\"launched\""),
        launched,
        "the VM process is the same"
    );
    home.machine(&["stop", "r"], BOOT).succeeded();
}

fn interrupt(pid: u32) {
    let status = std::process::Command::new("kill")
        .args(["-INT", &pid.to_string()])
        .status()
        .expect("kill runs");
    assert!(status.success());
}
