//! Machines as services of systemd's user manager: a real one, which `tests/with-user-manager` runs beside the tests and
//! which ends with them. Without one there are no such tests.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use libtest_mimic::Trial;

use crate::life::count;
use crate::support::command::{begin, eventually, run};
use crate::support::home::{BOOT, Home, SOON};
use crate::support::{api, trial};
use crate::takeover::process;

/// Where the user manager listens.
const RUNTIME: &str = "XDG_RUNTIME_DIR";

pub(crate) fn trials() -> Vec<Trial> {
    if std::env::var_os(RUNTIME).is_none() {
        return Vec::new();
    }
    vec![trial(
        "service::a_supervisor_comes_back_and_stops_its_machine_at_logout",
        life_of_a_service,
    )]
}

/// A command that sees the user manager.
fn seeing(mut command: Command) -> Command {
    command.env(RUNTIME, std::env::var_os(RUNTIME).expect("it is set"));
    command.env("USER", std::env::var_os("USER").unwrap_or_default());
    command
}

fn systemctl(arguments: &[&str]) -> String {
    let mut command = seeing(Command::new("systemctl"));
    command.arg("--user").args(arguments);
    run(&mut command, b"", SOON).text()
}

/// The units of this user's machines.
fn units() -> String {
    systemctl(&["list-units", "--all", "--plain", "--no-legend", "machine-*"])
}

fn cgroup(pid: u32) -> String {
    fs_err::read_to_string(Path::new("/proc").join(pid.to_string()).join("cgroup"))
        .expect("it runs")
}

fn life_of_a_service() {
    let mut home = Home::new("unit");
    home.init_stub("u", &[]);
    let unit = both_killed(&home);
    deserted_scope(&unit);

    let mut start = seeing(home.command(&["start", "u"]));
    start
        .env("SSH_AUTH_SOCK", "/nowhere/agent")
        .env("SECRET", "s");
    let started = run(&mut start, b"", BOOT);
    assert!(
        started.stderr.contains("hint: ") && started.stderr.contains("loginctl enable-linger "),
        "{}",
        started.stderr
    );
    started.succeeded();
    let socket = home.api_socket("u");
    assert!(api::answers(&socket));
    let (vm, supervisor) = (process(&home, "qemu-system"), process(&home, " supervise "));
    let environment = fs_err::read_to_string(format!("/proc/{}/environ", supervisor.pid));
    let environment = environment.expect("it is ours");
    assert!(environment.contains("SSH_AUTH_SOCK=/nowhere/agent"));
    assert!(!environment.contains("SECRET="));
    assert!(cgroup(supervisor.pid).trim().ends_with(".service"));
    eventually("the VM is apart", SOON, || {
        cgroup(vm.pid).trim().ends_with("-vm.scope").then_some(())
    });

    // Nobody asks for it, and it is back.
    supervisor.kill().expect("a process can be killed");
    let begun = Instant::now();
    eventually("the machine is whole again", SOON, || {
        (api::answers(&socket) && home.state("u") == "running").then_some(())
    });
    crate::support::tell(&format!(
        "back and whole after {} ms",
        begun.elapsed().as_millis()
    ));
    assert!(vm.is_alive() && process(&home, " supervise ") != supervisor);
    let error = run(&mut seeing(home.command(&["start", "u"])), b"", SOON).failed();
    assert!(error.contains("already running"), "{error}");

    // A restart gets a service again, though the one of before has hardly gone.
    run(&mut seeing(home.command(&["restart", "u"])), b"", BOOT).succeeded();
    let supervisor = process(&home, " supervise ");
    assert!(cgroup(supervisor.pid).trim().ends_with(".service"));
    let vm = process(&home, "qemu-system");
    eventually("the VM is apart", SOON, || {
        cgroup(vm.pid).trim().ends_with("-vm.scope").then_some(())
    });

    // The user logs out.
    let stopped = count(&home, "u", "\"stopped\"");
    systemctl(&["exit"]);
    eventually("nothing of it runs", BOOT, || {
        (!vm.is_alive() && !supervisor.is_alive()).then_some(())
    });
    assert_eq!(
        count(&home, "u", "\"stopped\""),
        stopped + 1,
        "stopped in order"
    );
    assert_eq!(home.processes(), [""; 0]);
    assert_eq!(home.state("u"), "stopped");
    home.dispose().expect("nothing is left");
}

/// A scope as it is left when a VM dies before it has been put there: made of a process that has ended, it never empties.
fn deserted_scope(unit: &str) {
    let mut ended = Command::new("true").spawn().expect("it runs");
    let stat = format!("/proc/{}/stat", ended.id());
    eventually("it has ended", SOON, || {
        let stat = fs_err::read_to_string(&stat).expect("nobody has asked for it");
        stat.contains(") Z ").then_some(())
    });
    let mut command = seeing(Command::new("busctl"));
    command
        .args(["--user", "call", "org.freedesktop.systemd1"])
        .args([
            "/org/freedesktop/systemd1",
            "org.freedesktop.systemd1.Manager",
        ])
        .args(["StartTransientUnit", "ssa(sv)a(sa(sv))"])
        .args([&format!("{unit}-vm.scope"), "fail", "2"])
        .args(["CollectMode", "s", "inactive-or-failed"])
        .args(["PIDs", "au", "1", &ended.id().to_string(), "0"]);
    run(&mut command, b"", SOON).succeeded();
    eventually("it stays", SOON, || {
        units().contains("-vm.scope loaded active").then_some(())
    });
    ended.wait().expect("it has ended");
}

/// When VM and supervisor are killed the machine is stopped, and nobody starts it. Returns the name of their units.
fn both_killed(home: &Home) -> String {
    let start = begin(&mut seeing(home.command(&["start", "u"])), b"");
    eventually("the VM runs", BOOT, || {
        (count(home, "u", "\"launched\"") > 0).then_some(())
    });
    let (vm, supervisor) = (process(home, "qemu-system"), process(home, " supervise "));
    let unit = cgroup(supervisor.pid);
    let (_, unit) = unit.trim().rsplit_once('/').expect("a control group");
    let unit = unit.strip_suffix(".service").expect("a service").to_owned();
    vm.kill().expect("a process can be killed");
    supervisor.kill().expect("a process can be killed");
    start.finish(BOOT).failed();
    // A unit that waits for its restart would be listed.
    eventually("no unit is left", SOON, || units().is_empty().then_some(()));
    assert_eq!(home.state("u"), "stopped");
    assert_eq!(home.processes(), [""; 0]);
    unit
}
