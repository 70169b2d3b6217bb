//! The units of a machine as arguments of systemd's programs (`systemd-run(1)`, `systemd.service(5)`, `systemd.kill(5)`,
//! `systemd.scope(5)`, `busctl(1)`), and what those programs answer. Pure.

use std::ffi::{OsStr, OsString};

use crate::service::{Enclosure, Service};

/// Names of variables.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Environment {
    /// To be taken over.
    pub(super) set: Vec<String>,
    /// To be removed.
    pub(super) unset: Vec<&'static str>,
}

/// Starts transient units.
pub(super) const RUN: &str = "systemd-run";
/// Asks about units and stops them.
pub(super) const CONTROL: &str = "systemctl";
/// Calls what the others have no words for.
pub(super) const BUS: &str = "busctl";

/// How long a VM that has lost its supervisor may take to end, in microseconds: QEMU closes its disks in this time.
const SCOPE_STOP_USEC: u64 = 10_000_000;

/// The unit of the supervisor.
fn service_unit(name: &str) -> String {
    format!("{name}.service")
}

/// The unit of the VM.
fn scope_unit(name: &str) -> String {
    format!("{name}-vm.scope")
}

/// `systemd-run` for a supervisor.
pub(super) fn run(service: &Service, environment: &Environment) -> Vec<OsString> {
    let mut log = OsString::from("StandardError=append:");
    log.push(&service.log);
    let properties = [
        // It says itself that it is there.
        "Type=notify".into(),
        "TimeoutStartSec=15s".into(),
        // One that is killed is back at once, and takes its VM over; one that has said why it ends stays away.
        "Restart=on-failure".into(),
        "RestartSec=100ms".into(),
        format!("RestartPreventExitStatus={}", service.told).into(),
        "StartLimitIntervalSec=60s".into(),
        "StartLimitBurst=5".into(),
        // The VM and the programs beside it are not its own.
        "KillMode=process".into(),
        "OOMPolicy=continue".into(),
        format!("TimeoutStopSec={}s", service.stop.as_secs()).into(),
        "StandardOutput=null".into(),
        log,
        format!("UnsetEnvironment={}", environment.unset.join(" ")).into(),
    ];
    let mut directory = OsString::from("--working-directory=");
    directory.push(&service.directory);
    let mut arguments: Vec<OsString> = vec![
        "--user".into(),
        "--quiet".into(),
        "--collect".into(),
        format!("--unit={}", service_unit(&service.name)).into(),
        format!("--description={}", service.description).into(),
        directory,
    ];
    for property in properties {
        let mut argument = OsString::from("--property=");
        argument.push(property);
        arguments.push(argument);
    }
    for name in &environment.set {
        arguments.push(format!("--setenv={name}").into());
    }
    arguments.push("--".into());
    arguments.extend(service.command.iter().map(|word| escaped(word)));
    arguments
}

/// A word in which systemd would otherwise look for variables.
fn escaped(word: &OsStr) -> OsString {
    match word.to_str() {
        Some(text) => text.replace('$', "$$").into(),
        None => word.to_owned(),
    }
}

/// `systemctl` that tells what is known of a supervisor's unit.
pub(super) fn show(name: &str) -> Vec<OsString> {
    let unit = service_unit(name);
    [
        "--user",
        "show",
        "--property=LoadState,ActiveState,SubState",
        &unit,
    ]
    .map(OsString::from)
    .to_vec()
}

/// `systemctl` that tells what is known of a VM's unit.
pub(super) fn show_scope(name: &str) -> Vec<OsString> {
    [
        "--user",
        "show",
        "--property=ActiveState",
        &scope_unit(name),
    ]
    .map(OsString::from)
    .to_vec()
}

/// Reads the answer to [`show_scope`]: the processes that it was made of have been put into it.
pub(super) fn is_active(shown: &str) -> bool {
    shown.lines().any(|line| line == "ActiveState=active")
}

/// `busctl` that asks for the processes of a VM's unit (`org.freedesktop.systemd1(5)`).
pub(super) fn scope_processes(name: &str) -> Vec<OsString> {
    [
        "--user",
        "call",
        "org.freedesktop.systemd1",
        "/org/freedesktop/systemd1",
        "org.freedesktop.systemd1.Manager",
        "GetUnitProcesses",
        "s",
        &scope_unit(name),
    ]
    .map(OsString::from)
    .to_vec()
}

/// Reads the answer to [`scope_processes`]: an array of control group, process and command line, its length first.
pub(super) fn is_empty(answer: &str) -> bool {
    answer.trim() == "a(sus) 0"
}

/// `systemctl` that ends a VM's unit; it waits for that or not.
pub(super) fn stop_scope(name: &str, wait: bool) -> Vec<OsString> {
    let mut words = vec!["--user", "--quiet"];
    words.extend((!wait).then_some("--no-block"));
    words.push("stop");
    let mut words: Vec<OsString> = words.into_iter().map(OsString::from).collect();
    words.push(scope_unit(name).into());
    words
}

/// `systemctl` that waits until nothing is left of a supervisor's unit.
pub(super) fn stop(name: &str) -> Vec<OsString> {
    ["--user", "--quiet", "stop", &service_unit(name)]
        .map(OsString::from)
        .to_vec()
}

/// What stands in the way of a unit of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Conflict {
    /// Nothing any more.
    Gone,
    /// The rest of one whose process has ended.
    Ended,
    /// One whose process runs.
    Runs,
}

/// Reads the answer to [`show`].
pub(super) fn conflict(shown: &str) -> Conflict {
    let value = |key: &str| {
        let line = shown.lines().find_map(|line| line.strip_prefix(key));
        line.and_then(|rest| rest.strip_prefix('=')).unwrap_or("")
    };
    if value("LoadState") == "not-found" {
        return Conflict::Gone;
    }
    match (value("ActiveState"), value("SubState")) {
        ("inactive" | "failed", _) | ("activating", "auto-restart" | "auto-restart-queued") => {
            Conflict::Ended
        }
        _ => Conflict::Runs,
    }
}

/// `busctl` that makes a scope of processes which run already (`org.freedesktop.systemd1(5)`).
pub(super) fn scope(enclosure: &Enclosure) -> Vec<OsString> {
    let mut words: Vec<String> = [
        "--user",
        "--quiet",
        "call",
        "org.freedesktop.systemd1",
        "/org/freedesktop/systemd1",
        "org.freedesktop.systemd1.Manager",
        "StartTransientUnit",
        "ssa(sv)a(sa(sv))",
    ]
    .map(str::to_owned)
    .to_vec();
    words.push(scope_unit(&enclosure.service));
    words.push("fail".to_owned());
    let pids = enclosure.pids.iter().map(u32::to_string);
    let properties: [Vec<String>; 5] = [
        vec!["Description".into(), "s".into(), "Virtual machine".into()],
        vec![
            "CollectMode".into(),
            "s".into(),
            "inactive-or-failed".into(),
        ],
        // What is started later is stopped first: at a logout or shutdown the VM is there until its supervisor has
        // stopped it. Said here alone, since a name that the service has in its own `After=` would stay taken.
        vec![
            "Before".into(),
            "as".into(),
            "1".into(),
            service_unit(&enclosure.service),
        ],
        vec![
            "TimeoutStopUSec".into(),
            "t".into(),
            SCOPE_STOP_USEC.to_string(),
        ],
        ["PIDs".into(), "au".into(), enclosure.pids.len().to_string()]
            .into_iter()
            .chain(pids)
            .collect(),
    ];
    words.push(properties.len().to_string());
    words.extend(properties.into_iter().flatten());
    // No other units.
    words.push("0".to_owned());
    words.into_iter().map(OsString::from).collect()
}

/// Whether a refusal means that there is such a unit already.
pub(super) fn exists(reason: &str) -> bool {
    reason.contains("already loaded") || reason.contains("already exists")
}

/// What a user is told whose manager ends with the last session.
pub(super) fn linger(user: &str) -> String {
    format!(
        "the machine is stopped when you log out; to let it run on: loginctl enable-linger {user}"
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn lines(arguments: &[OsString]) -> String {
        let words: Vec<_> = arguments
            .iter()
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        words.join("\n")
    }

    #[test]
    fn a_supervisor_is_a_service_that_comes_back_and_stops_in_order() {
        let service = Service {
            name: "machine-vm".to_owned(),
            description: "Virtual machine \"vm\"".to_owned(),
            command: vec!["/opt/a b/machine".into(), "supervise".into(), "v$m".into()],
            directory: "/m/vm".into(),
            log: "/m/vm/supervisor.log".into(),
            stop: Duration::from_secs(155),
            told: 125,
        };
        let environment = Environment {
            set: vec!["PATH".to_owned(), "SSH_AUTH_SOCK".to_owned()],
            unset: vec!["TZ", "http_proxy"],
        };
        insta::assert_snapshot!(lines(&run(&service, &environment)), @r#"
        --user
        --quiet
        --collect
        --unit=machine-vm.service
        --description=Virtual machine "vm"
        --working-directory=/m/vm
        --property=Type=notify
        --property=TimeoutStartSec=15s
        --property=Restart=on-failure
        --property=RestartSec=100ms
        --property=RestartPreventExitStatus=125
        --property=StartLimitIntervalSec=60s
        --property=StartLimitBurst=5
        --property=KillMode=process
        --property=OOMPolicy=continue
        --property=TimeoutStopSec=155s
        --property=StandardOutput=null
        --property=StandardError=append:/m/vm/supervisor.log
        --property=UnsetEnvironment=TZ http_proxy
        --setenv=PATH
        --setenv=SSH_AUTH_SOCK
        --
        /opt/a b/machine
        supervise
        v$$m
        "#);
    }

    #[test]
    fn a_vm_is_a_scope_that_ends_after_its_supervisor() {
        let enclosure = Enclosure {
            service: "machine-vm".to_owned(),
            pids: vec![7, 9],
        };
        insta::assert_snapshot!(lines(&scope(&enclosure)), @r#"
        --user
        --quiet
        call
        org.freedesktop.systemd1
        /org/freedesktop/systemd1
        org.freedesktop.systemd1.Manager
        StartTransientUnit
        ssa(sv)a(sa(sv))
        machine-vm-vm.scope
        fail
        5
        Description
        s
        Virtual machine
        CollectMode
        s
        inactive-or-failed
        Before
        as
        1
        machine-vm.service
        TimeoutStopUSec
        t
        10000000
        PIDs
        au
        2
        7
        9
        0
        "#);
    }

    #[test]
    fn what_is_left_of_a_unit() {
        let shown =
            |load, active, sub| format!("LoadState={load}\nActiveState={active}\nSubState={sub}\n");
        for (load, active, sub, expected) in [
            ("not-found", "inactive", "dead", Conflict::Gone),
            ("loaded", "inactive", "dead", Conflict::Ended),
            ("loaded", "failed", "failed", Conflict::Ended),
            ("loaded", "activating", "auto-restart", Conflict::Ended),
            ("loaded", "activating", "start", Conflict::Runs),
            ("loaded", "active", "running", Conflict::Runs),
            // It stops its machine.
            ("loaded", "deactivating", "stop-sigterm", Conflict::Runs),
        ] {
            assert_eq!(conflict(&shown(load, active, sub)), expected, "{sub}");
        }
        assert_eq!(conflict(""), Conflict::Runs);
        let refused =
            "Call failed: Unit machine-vm-vm.scope was already loaded or has a fragment file.";
        assert!(exists(refused) && !exists("Access denied"));
    }

    #[test]
    fn a_scope_in_which_nothing_runs() {
        assert!(is_active("ActiveState=active\n"));
        for shown in ["", "ActiveState=activating\n", "ActiveState=inactive\n"] {
            assert!(!is_active(shown), "{shown}");
        }
        assert!(is_empty("a(sus) 0\n"));
        let answer = "a(sus) 1 \"/user.slice/machine-vm-vm.scope\" 70 \"qemu-system-x86_64\"\n";
        assert!(!is_empty(answer) && !is_empty(""));
        insta::assert_snapshot!(
            [stop_scope("machine-vm", true), stop_scope("machine-vm", false), show_scope("machine-vm")]
                .map(|words| lines(&words).replace('\n', " "))
                .join("\n"),
            @r"
        --user --quiet stop machine-vm-vm.scope
        --user --quiet --no-block stop machine-vm-vm.scope
        --user show --property=ActiveState machine-vm-vm.scope
        "
        );
    }
}
