//! The life of a machine: made, started, rebooted, stopped, started again, removed; and what happens when a process
//! is killed on the way.

use std::time::Duration;

use libtest_mimic::Trial;
use machine::supervisor::control::BUILD;
use machine_host::process::ProcessIdentity;

use crate::exec::{come_in_order, events};
use crate::network::{end_program, fetched};
use crate::support::command::{eventually, run};
use crate::support::home::{BOOT, Home, SOON};
use crate::support::shared::{self, IMAGE, podman};
use crate::support::stage::Stage;
use crate::support::{api, for_full, tell, trial};
use crate::tour::ports::{exchange, free_port};
use crate::tour::word_server;

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = vec![
        trial("life::followed_from_init_to_rm", whole_life),
        trial(
            "life::a_killed_supervisor_leaves_a_machine_that_can_be_stopped",
            killed_supervisor,
        ),
        trial("life::doctor_names_what_is_wrong_and_mends_it", doctor),
    ];
    trials.extend(for_full(vec![trial(
        "life::rootful_killed_start_command_and_reboot_inside_the_guest",
        rootful_life,
    )]));
    trials
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
    home.init("m", &["--network", "passt"]);
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

    let text = home.machine(&["start", "m"], BOOT).succeeded();
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
    let started = run(
        home.command(&["start", "m"])
            .env("MACHINE_AGENT_DIR", &newer),
        b"",
        BOOT,
    );
    started.succeeded();
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

fn killed_supervisor() {
    let home = Home::new("orphan");
    home.init("o", &["--now"]);
    let socket = home.api_socket("o");
    shared::import_busybox(&home, &socket);
    let port = free_port();
    let published = format!("{port}:7");
    let server = [
        "run", "--detach", "-p", &published, IMAGE, "nc", "-ll", "-p", "7", "-e", "cat",
    ];
    run(podman(&home, &socket).args(server), b"", BOOT).succeeded();
    let address = format!("127.0.0.1:{port}");
    let echoes = || exchange(&address, b"echo").is_ok_and(|answer| answer == b"echo");
    eventually("the container's port answers", SOON, || {
        echoes().then_some(())
    });
    kill_supervisor(&home);
    assert_ne!(home.state("o"), "stopped", "the VM still runs");
    assert!(!api::answers(&socket));
    let error = home.machine(&["rm", "o"], SOON).failed();
    assert!(error.contains("cannot be destroyed"), "{error}");
    // Start takes the VM over without a boot.
    let begun = std::time::Instant::now();
    home.machine(&["start", "o"], BOOT).succeeded();
    assert!(
        begun.elapsed() < Duration::from_secs(15),
        "taking over is no boot: {:?}",
        begun.elapsed()
    );
    assert!(api::answers(&socket));
    eventually("the port is open again", SOON, || echoes().then_some(()));

    // So does every command that needs it.
    kill_supervisor(&home);
    let begun = std::time::Instant::now();
    home.machine(&["exec", "o", "true"], BOOT).succeeded();
    let taken = begun.elapsed();
    tell(&format!(
        "taken over and answered after {} ms",
        taken.as_millis()
    ));
    // Two seconds are promised, where nothing else keeps the host busy.
    assert!(taken < Duration::from_secs(8), "{taken:?}");
    assert!(api::answers(&socket));

    replaced_by_another_build(&home, &socket);
    eventually("the port is open again", SOON, || echoes().then_some(()));
    home.machine(&["stop", "o"], BOOT).succeeded();
    assert_eq!(home.processes(), [""; 0]);
}

/// The process of this home whose command line has `word`.
pub(crate) fn process(home: &Home, word: &str) -> ProcessIdentity {
    let found = home.processes();
    let line = found.iter().find(|line| line.contains(word));
    let pid = line.and_then(|line| line.split(' ').next()?.parse().ok());
    ProcessIdentity::of(pid.expect("it runs"))
        .expect("a process can be looked at")
        .expect("it runs")
}

fn kill_supervisor(home: &Home) {
    let identity = process(home, " supervise ");
    identity.kill().expect("a process can be killed");
    eventually("the supervisor is gone", SOON, || {
        (!identity.is_alive()).then_some(())
    });
}

/// A supervisor of another build takes the place of the one that runs, and the VM does not notice.
fn replaced_by_another_build(home: &Home, socket: &std::path::Path) {
    let error = home.machine(&["start", "o"], SOON).failed();
    assert!(error.contains("already running"), "{error}");

    // The same program, with another digest in its name.
    let (build, other) = (BUILD.as_bytes(), home.path().join("machine"));
    let mut program = fs_err::read(Stage::get().program("machine")).expect("it can be read");
    let places: Vec<usize> = program
        .windows(build.len())
        .enumerate()
        .filter_map(|(at, window)| (window == build).then_some(at))
        .collect();
    assert!(!places.is_empty(), "the program has its build: {BUILD}");
    for at in places {
        let digit = &mut program[at + build.len() - 1];
        *digit = if *digit == b'0' { b'1' } else { b'0' };
    }
    fs_err::write(&other, program).expect("it can be written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs_err::set_permissions(&other, mode).expect("it is ours");
    let agents = Stage::get().agent();
    let agents = agents.parent().expect("a directory");

    let (vm, supervisor) = (process(home, "qemu-system"), process(home, " supervise "));
    let mut start = std::process::Command::new(&other);
    let like = home.command(&["start", "o"]);
    start.args(like.get_args()).env_clear();
    for (name, value) in like.get_envs() {
        if let Some(value) = value {
            start.env(name, value);
        }
    }
    start.env("MACHINE_AGENT_DIR", agents);
    let text = run(&mut start, b"", BOOT).succeeded();
    let last =
        format!("Machine \"o\" runs on under this build, which took it over from build {BUILD}\n");
    assert!(text.ends_with(&last), "{text}");
    assert!(vm.is_alive() && !supervisor.is_alive());
    assert!(api::answers(socket));
    let error = run(&mut start, b"", SOON).failed();
    assert!(error.contains("already running"), "{error}");
    // Commands of another build go on working with it.
    home.machine(&["exec", "o", "true"], SOON).succeeded();
}
