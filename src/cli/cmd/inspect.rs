//! `machine inspect`.

use jiff::tz::TimeZone;

use crate::cli::args::inspect::InspectArgs;
use crate::cli::error::CommandError;
use crate::cli::output::format::Report;
use crate::cli::output::json;
use crate::cli::output::printer::Printer;
use crate::cli::output::reports::{self, Inspected};

/// What templates and their errors are called.
const TEMPLATE: &str = "inspect";

#[expect(clippy::unused_async, reason = "nothing to wait for yet")]
pub(super) async fn run(args: &InspectArgs, printer: &Printer) -> Result<(), CommandError> {
    let machines: Vec<Inspected> = Vec::new();
    printer.stdout(&render(args, &machines, &TimeZone::system())?);
    Ok(())
}

/// The output for these machines.
fn render(
    args: &InspectArgs,
    machines: &[Inspected],
    zone: &TimeZone,
) -> Result<String, CommandError> {
    let machines = reports::inspect(machines.iter().map(|machine| machine.to_value(zone)));
    match &args.format {
        // The word `json` is an ordinary template here, as with podman.
        Some(format) => Ok(Report::user(TEMPLATE, format)?.render(None, &machines)?),
        None => Ok(json::inspect(&machines)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(name: &str) -> Inspected {
        Inspected {
            config_dir: "/home/u/.local/share/machine/machines/vm".to_owned(),
            podman_socket: Some("/home/u/.local/share/machine/machines/vm/podman.sock".to_owned()),
            podman_pipe: None,
            created: "2026-06-11T07:30:12.120934811Z".parse().expect("a time"),
            last_up: None,
            name: name.to_owned(),
            cpus: 4,
            disk_gib: 100,
            memory_mib: 2048,
            identity_path: "/home/u/.local/share/machine/machines/vm/ssh/id".to_owned(),
            port: 0,
            remote_username: "core".to_owned(),
            state: "stopped",
            user_mode_networking: true,
            rootful: false,
            rosetta: false,
        }
    }

    fn rendered(format: Option<&str>, machines: &[Inspected]) -> String {
        let args = InspectArgs {
            format: format.map(str::to_owned),
            names: Vec::new(),
        };
        render(&args, machines, &TimeZone::fixed(jiff::tz::offset(2)))
            .unwrap_or_else(|error| anstream::adapter::strip_str(&error.render()).to_string())
    }

    #[test]
    fn json() {
        insta::assert_snapshot!(rendered(None, &[machine("podman-machine-default")]), @r#"
        [
             {
                  "ConfigDir": {
                       "Path": "/home/u/.local/share/machine/machines/vm"
                  },
                  "ConnectionInfo": {
                       "PodmanSocket": {
                            "Path": "/home/u/.local/share/machine/machines/vm/podman.sock"
                       },
                       "PodmanPipe": null
                  },
                  "Created": "2026-06-11T09:30:12.120934811+02:00",
                  "LastUp": "0001-01-01T00:00:00Z",
                  "Name": "podman-machine-default",
                  "Resources": {
                       "CPUs": 4,
                       "DiskSize": 100,
                       "Memory": 2048,
                       "USBs": []
                  },
                  "SSHConfig": {
                       "IdentityPath": "/home/u/.local/share/machine/machines/vm/ssh/id",
                       "Port": 0,
                       "RemoteUsername": "core"
                  },
                  "State": "stopped",
                  "UserModeNetworking": true,
                  "Rootful": false,
                  "Rosetta": false
             }
        ]
        "#);
        assert!(rendered(None, &[machine("vm")]).ends_with("]\n"));
        assert_eq!(rendered(None, &[]), "[]\n");
    }

    #[test]
    fn formats() {
        let cases = [
            (
                "{{.ConnectionInfo.PodmanSocket.Path}}",
                "/home/u/.local/share/machine/machines/vm/podman.sock\n",
            ),
            (
                "{{.Name}} {{.State}} {{.Resources.Memory}}",
                "vm stopped 2048\n",
            ),
            ("json", "json\n"),
            (
                r#"{{.LastUp.Format "2006-01-02T15:04:05Z07:00"}}"#,
                "0001-01-01T00:00:00Z\n",
            ),
            (
                r#"{{.Created.Format "2006-01-02T15:04:05Z07:00"}}"#,
                "2026-06-11T09:30:12+02:00\n",
            ),
            ("{{json .ConnectionInfo.PodmanPipe}}", "null\n"),
            (
                "{{with .ConnectionInfo.PodmanPipe}}{{.Path}}{{else}}none{{end}}",
                "none\n",
            ),
            (
                "{{.ConnectionInfo.PodmanPipe.Path}}",
                "Error: template: inspect:1:28: executing \"inspect\" at <.ConnectionInfo.PodmanPipe.Path>: nil pointer evaluating *define.VMFile.Path\n",
            ),
            (
                "{{.Abcde}}",
                "Error: template: inspect:1:13: executing \"inspect\" at <.Abcde>: can't evaluate field Abcde in type machine.InspectInfo\n",
            ),
            (
                "{{.ConnectionInfo.Abcde}}",
                "Error: template: inspect:1:28: executing \"inspect\" at <.ConnectionInfo.Abcde>: can't evaluate field Abcde in type machine.ConnectionConfig\n",
            ),
        ];
        for (format, expected) in cases {
            assert_eq!(
                rendered(Some(format), &[machine("vm")]),
                expected,
                "{format}"
            );
        }
    }

    #[test]
    fn a_format_is_used_on_each_machine() {
        assert_eq!(
            rendered(Some("{{.Name}}"), &[machine("a"), machine("b")]),
            "a\nb\n"
        );
        assert_eq!(
            rendered(
                Some("{{range .}}{{.Name}} {{end}}"),
                &[machine("a"), machine("b")]
            ),
            "a b \n"
        );
    }
}
