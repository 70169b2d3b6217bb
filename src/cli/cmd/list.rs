//! `machine list`.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::cli::args::list::ListArgs;
use crate::cli::error::CommandError;
use crate::cli::output::format::{self, Report};
use crate::cli::output::json;
use crate::cli::output::printer::Printer;
use crate::cli::output::reports::{self, Listed};

/// What templates and their errors are called.
const TEMPLATE: &str = "list";
const COLUMNS: [&str; 7] = [
    "Name", "VMType", "Created", "LastUp", "CPUs", "Memory", "DiskSize",
];

#[expect(clippy::unused_async, reason = "nothing to wait for yet")]
pub(super) async fn run(args: &ListArgs, printer: &Printer) -> Result<(), CommandError> {
    let rows = Vec::new();
    printer.stdout(&render(args, rows, Timestamp::now(), &TimeZone::system())?);
    Ok(())
}

/// The output for these machines at the time `now`.
fn render(
    args: &ListArgs,
    mut rows: Vec<Listed>,
    now: Timestamp,
    zone: &TimeZone,
) -> Result<String, CommandError> {
    Listed::sort(&mut rows);
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
        }
    }

    fn machines() -> Vec<Listed> {
        vec![
            machine("never", false, None),
            machine("older", false, Some("2026-06-12T07:30:12Z")),
            machine("podman-machine-default", true, Some("2026-06-11T07:30:12Z")),
            machine("newer", false, Some("2026-06-13T07:00:12Z")),
        ]
    }

    fn rendered(words: &[&str], rows: Vec<Listed>) -> String {
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
        insta::assert_snapshot!(rendered(&[], machines()), @r"
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
            rendered(&[], Vec::new()),
            "NAME        VM TYPE     CREATED     LAST UP     CPUS        MEMORY      DISK SIZE\n"
        );
        assert_eq!(rendered(&["--noheading"], Vec::new()), "");
        assert_eq!(rendered(&["-q"], Vec::new()), "");
        assert_eq!(rendered(&["--format", "json"], Vec::new()), "[]");
    }

    #[test]
    fn quiet_is_names() {
        let names = "podman-machine-default*\nnewer\nolder\nnever\n";
        assert_eq!(rendered(&["-q"], machines()), names);
        assert_eq!(rendered(&["-q", "-n"], machines()), names);
        assert_eq!(rendered(&["-nq"], machines()), names);
        assert_eq!(
            rendered(&["-q", "--format", "{{.LastUp}}"], machines())
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
                vec![starting]
            ),
            "false true Currently starting\n"
        );
    }

    #[test]
    fn json() {
        insta::assert_snapshot!(rendered(&["--format", "json"], vec![Listed { running: false, ..machine("podman-machine-default", false, None) }]), @r#"
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
                "UserModeNetworking": true
            }
        ]
        "#);
        assert!(!rendered(&["--format", "json"], machines()).ends_with('\n'));
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
                "Error: template: list:2: unexpected \"{\" in operand\n",
            ),
        ];
        for (words, expected) in cases {
            assert_eq!(rendered(&words, one()), expected, "{words:?}");
        }
    }
}
