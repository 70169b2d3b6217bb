//! `machine list`.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Session, connection};
use crate::cli::args::list::ListArgs;
use crate::cli::error::CommandError;
use crate::cli::output::format::{self, Report};
use crate::cli::output::json;
use crate::cli::output::reports::{self, Listed};
use crate::machine::Status;
use crate::ops::connection::{ListedConnection, marks};
use crate::ops::list::{self, ListedMachine};
use crate::supervisor::client;

/// What templates and their errors are called.
const TEMPLATE: &str = "list";
const COLUMNS: [&str; 7] = [
    "Name", "VMType", "Created", "LastUp", "CPUs", "Memory", "DiskSize",
];

pub(super) fn run(args: &ListArgs, session: &Session<'_>) -> Result<(), CommandError> {
    // Podman's connections hide no machine either.
    let connections = connection::all(session).unwrap_or_else(|error| {
        session.printer.stderr(&error.render_warning());
        Vec::new()
    });
    let mut rows = Vec::new();
    for machine in list::list(&session.store, client::probe)? {
        match row(machine, &connections) {
            Ok(row) => rows.push(row),
            // One bad machine hides no other.
            Err(error) => session.printer.stderr(&error.render_warning()),
        }
    }
    let text = render(args, &rows, Timestamp::now(), &TimeZone::system())?;
    session.printer.stdout(&text);
    // For eyes only: what reads a pipe knows podman's table and nothing behind it.
    if args.format.is_none() && !args.quiet && session.printer.is_terminal() {
        session.printer.stdout(&reasons(&rows));
    }
    Ok(())
}

/// A line for each machine of which something does not work.
fn reasons(rows: &[Listed]) -> String {
    let sick = rows.iter().filter(|row| !row.reason.is_empty());
    sick.fold(String::new(), |text, row| {
        format!("{text}{} is {}: {}\n", row.name, row.health, row.reason)
    })
}

fn row(listed: ListedMachine, connections: &[ListedConnection]) -> Result<Listed, CommandError> {
    let machine = listed.machine?;
    let config = machine.config;
    Ok(Listed {
        name: config.name.to_string(),
        default: marks(connections, &config),
        created: config.created,
        running: listed.status.is_running(),
        starting: listed.status == Status::Starting,
        last_up: listed.last_up,
        vm_type: config.provider.to_string(),
        cpus: u64::from(config.resources.cpus),
        memory: config.resources.memory_mib.saturating_mul(1 << 20),
        swap: config.swap_mib.saturating_mul(1 << 20),
        disk_size: config.resources.disk_bytes(),
        port: config.ssh_port,
        remote_username: config.user,
        identity_path: machine.files.ssh_client_key().display().to_string(),
        user_mode_networking: true,
        health: listed.status.health(),
        reason: listed.status.reason().to_owned(),
    })
}

/// The output for these machines at the time `now`.
fn render(
    args: &ListArgs,
    rows: &[Listed],
    now: Timestamp,
    zone: &TimeZone,
) -> Result<String, CommandError> {
    if args.format.as_deref().is_some_and(format::is_json) {
        let rows = reports::list(rows.iter().map(|row| row.for_json(zone)));
        return Ok(json::list(&rows)?);
    }
    let report = match &args.format {
        Some(format) => Report::user(TEMPLATE, format)?,
        None if args.quiet => Report::user(TEMPLATE, "{{.Name}}")?,
        None => Report::columns(TEMPLATE, &COLUMNS)?,
    };
    let headers = format::headers(&reports::LIST_FIELDS, &reports::LIST_HEADERS);
    let headers = (!args.noheading).then_some(&headers);
    let rows = reports::list(rows.iter().map(|row| row.for_people(now)));
    Ok(report.render(headers, &rows)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::cmd::testing;
    use crate::store::testing::Bench;

    fn time(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn machine(name: &str, running: bool, last_up: Option<&str>) -> Listed {
        Listed {
            name: name.to_owned(),
            default: name == "podman-machine-default",
            created: time("2026-06-11T07:30:12.120934811Z"),
            running,
            starting: false,
            last_up: last_up.map(time),
            vm_type: "qemu".to_owned(),
            cpus: 4,
            memory: 2 << 30,
            swap: 0,
            disk_size: 100 << 30,
            port: 41913,
            remote_username: "core".to_owned(),
            identity_path: "/home/u/.local/share/machine/machines/vm/ssh/id".to_owned(),
            user_mode_networking: true,
            health: if running { "healthy" } else { "" },
            reason: String::new(),
        }
    }

    fn machines() -> Vec<Listed> {
        vec![
            machine("podman-machine-default", true, Some("2026-06-11T07:30:12Z")),
            machine("newer", false, Some("2026-06-13T07:00:12Z")),
            machine("older", false, Some("2026-06-12T07:30:12Z")),
            machine("never", false, None),
        ]
    }

    fn rendered(words: &[&str], rows: &[Listed]) -> String {
        use clap::Parser as _;
        let words = ["machine", "list"].iter().chain(words);
        let cli = crate::cli::args::Cli::try_parse_from(words).expect("a good command line");
        let Some(crate::cli::args::Command::List(args)) = cli.command else {
            panic!("not a list");
        };
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        render(&args, rows, time("2026-06-13T07:30:12Z"), &zone)
            .unwrap_or_else(|error| anstream::adapter::strip_str(&error.render()).to_string())
    }

    #[test]
    fn table() {
        insta::assert_snapshot!(rendered(&[], &machines()), @r"
        NAME                     VM TYPE     CREATED     LAST UP            CPUS        MEMORY      DISK SIZE
        podman-machine-default*  qemu        2 days ago  Currently running  4           2GiB        100GiB
        newer                    qemu        2 days ago  30 minutes ago     4           2GiB        100GiB
        older                    qemu        2 days ago  24 hours ago       4           2GiB        100GiB
        never                    qemu        2 days ago  Never              4           2GiB        100GiB
        ");
    }

    #[test]
    fn no_machine_is_a_header() {
        assert_eq!(
            rendered(&[], &[]),
            "NAME        VM TYPE     CREATED     LAST UP     CPUS        MEMORY      DISK SIZE\n"
        );
        assert_eq!(rendered(&["--noheading"], &[]), "");
        assert_eq!(rendered(&["-q"], &[]), "");
        assert_eq!(rendered(&["--format", "json"], &[]), "[]");
    }

    #[test]
    fn quiet_is_names() {
        let names = "podman-machine-default*\nnewer\nolder\nnever\n";
        assert_eq!(rendered(&["-q"], &machines()), names);
        assert_eq!(rendered(&["-q", "-n"], &machines()), names);
        assert_eq!(rendered(&["-nq"], &machines()), names);
        assert_eq!(
            rendered(&["-q", "--format", "{{.LastUp}}"], &machines())
                .lines()
                .next(),
            Some("Currently running"),
            "a format wins over quiet"
        );
    }

    #[test]
    fn a_starting_machine_does_not_run_yet() {
        let starting = Listed {
            starting: true,
            ..machine("vm", true, None)
        };
        assert_eq!(
            rendered(
                &["--format", "{{.Running}} {{.Starting}} {{.LastUp}}"],
                &[starting]
            ),
            "false true Currently starting\n"
        );
    }

    #[test]
    fn json() {
        insta::assert_snapshot!(rendered(&["--format", "json"], &[machine("podman-machine-default", false, None)]), @r#"
        [
            {
                "Name": "podman-machine-default",
                "Default": true,
                "Created": "2026-06-11T09:30:12.120934811+02:00",
                "Running": false,
                "Starting": false,
                "LastUp": "0001-01-01T00:00:00Z",
                "Stream": "default",
                "VMType": "qemu",
                "CPUs": 4,
                "Memory": "2147483648",
                "Swap": "0",
                "DiskSize": "107374182400",
                "Port": 41913,
                "RemoteUsername": "core",
                "IdentityPath": "/home/u/.local/share/machine/machines/vm/ssh/id",
                "UserModeNetworking": true,
                "Health": "",
                "Reason": ""
            }
        ]
        "#);
        assert!(!rendered(&["--format", "json"], &machines()).ends_with('\n'));
    }

    #[test]
    fn formats() {
        let one = || vec![machine("vm", false, None)];
        let cases = [
            (
                vec![
                    "--format",
                    "table {{.Name}} {{.VMType}} {{.UserModeNetworking}}",
                ],
                "NAME        VM TYPE     USER MODE NETWORKING\nvm          qemu        false\n",
            ),
            (vec!["--format", "table {{.Name}}", "--noheading"], "vm\n"),
            (vec!["--format", "{{json .Name}}"], "\"vm\"\n"),
            (
                vec!["--format={{.Port}}/{{.RemoteUsername}}/{{.Stream}}"],
                "0//\n",
            ),
            (
                vec!["--format", "{{.Abcde}}"],
                "Error: template: list:1:13: executing \"list\" at <.Abcde>: can't evaluate field Abcde in type *entities.ListReporter\n",
            ),
            (
                vec!["--format", "{{.Name"],
                "Error: template: list:1: bad character U+007B '{'\n",
            ),
        ];
        for (words, expected) in cases {
            assert_eq!(rendered(&words, &one()), expected, "{words:?}");
        }
    }
    #[test]
    fn what_does_not_work_has_a_line_and_fields() {
        let sick = Listed {
            health: "degraded",
            reason: "the agent is gone".to_owned(),
            ..machine("vm", true, None)
        };
        assert_eq!(
            rendered(
                &["--format", "{{.Name}} {{.Health}}: {{.Reason}}"],
                std::slice::from_ref(&sick)
            ),
            "vm degraded: the agent is gone\n"
        );
        assert_eq!(
            reasons(&[machine("a", true, None), sick]),
            "vm is degraded: the agent is gone\n"
        );
    }

    #[test]
    fn a_machine_that_cannot_be_read_hides_no_other() {
        let bench = Bench::new();
        bench.make("good");
        let bad = bench.make("bad");
        fs_err::write(bad.files.config(), "no TOML").expect("a file");
        let args = ListArgs {
            format: None,
            noheading: false,
            quiet: true,
            names: Vec::new(),
        };
        let (result, captured) = testing::run(&bench, "", async |session| run(&args, session));
        assert_eq!(result, Ok(()));
        assert_eq!(captured.stdout, "good\n");
        assert!(
            captured
                .stderr
                .starts_with("Warning: Machine `bad` cannot be read"),
            "{}",
            captured.stderr
        );
        // Podman Desktop offers to delete all machines when it reads these.
        for words in ["incompatible machine config", "cannot unmarshal string"] {
            assert!(!captured.stderr.contains(words));
        }
    }

    #[test]
    fn a_row_is_what_is_stored() {
        let bench = Bench::new();
        let machine = bench.make("vm");
        let row = |status: Status| {
            let listed = ListedMachine {
                name: machine.config.name.clone(),
                machine: Ok(machine.clone()),
                status,
                last_up: None,
            };
            row(listed, &[]).expect("it can be read")
        };
        let stopped = row(Status::Stopped);
        assert_eq!(stopped.name, "vm");
        assert_eq!(stopped.vm_type, "qemu");
        assert_eq!(stopped.memory, machine.config.resources.memory_mib << 20);
        assert_eq!(stopped.disk_size, machine.config.resources.disk_gib << 30);
        for (status, running, starting) in [
            (Status::Stopped, false, false),
            (Status::Starting, false, true),
            (Status::Running, true, false),
            (Status::Unmanaged, true, false),
            (Status::Busy, false, false),
        ] {
            let row = row(status);
            assert_eq!((row.running, row.starting), (running, starting));
        }
    }
}
