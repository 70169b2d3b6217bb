//! Who runs a machine changes, and its VM does not notice: the supervisor was killed, or is of another build.

use std::time::Duration;

use libtest_mimic::Trial;
use machine::supervisor::control::BUILD;
use machine_host::process::ProcessIdentity;

use crate::support::command::{eventually, run};
use crate::support::home::{BOOT, Home, SOON};
use crate::support::stage::Stage;
use crate::support::{api, tell, trial};
use crate::tour::ports::{exchange, free_port};

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial(
        "takeover::by_a_command_and_by_another_build",
        taken_over,
    )]
}

fn taken_over() {
    let home = Home::new("orphan");
    home.init_stub("o", &[]);
    let port = free_port();
    let forwarded = format!("{port}:7");
    home.machine(&["port", "add", &forwarded, "o"], SOON)
        .succeeded();
    home.machine(&["start", "o"], BOOT).succeeded();
    let socket = home.api_socket("o");
    let address = format!("127.0.0.1:{port}");
    let echoes = || exchange(&address, b"echo").is_ok_and(|answer| answer == b"echo");
    eventually("the port answers", SOON, || echoes().then_some(()));
    kill_supervisor(&home);
    // Every command that needs one takes the VM over.
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
    eventually("the port is open again", SOON, || echoes().then_some(()));

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
