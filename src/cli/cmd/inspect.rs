//! `machine inspect`.

use std::path::Path;

use jiff::tz::TimeZone;

use super::Session;
use crate::cli::args::inspect::InspectArgs;
use crate::cli::args::name_or_default;
use crate::cli::error::CommandError;
use crate::cli::output::format::Report;
use crate::cli::output::json;
use crate::cli::output::reports::{self, Inspected};
use crate::ops::inspect::{self, InspectedMachine};
use crate::supervisor::client;

/// What templates and their errors are called.
const TEMPLATE: &str = "inspect";
/// How the paths of Windows' pipes begin.
const PIPES: &str = r"\\.\pipe\";

pub(super) fn run(args: &InspectArgs, session: &Session<'_>) -> Result<(), CommandError> {
    let names: Vec<&str> = if args.names.is_empty() {
        vec![name_or_default(&[])]
    } else {
        args.names
            .iter()
            .map(|name| name_or_default(std::slice::from_ref(name)))
            .collect()
    };
    let mut machines = Vec::new();
    let mut errors = Vec::new();
    for name in names {
        match inspect::inspect(&session.store, name, client::probe) {
            Ok(machine) => machines.push(report(machine)),
            Err(error) => errors.push(CommandError::from(error)),
        }
    }
    session
        .printer
        .stdout(&render(args, &machines, &TimeZone::system())?);
    let last = errors.pop();
    for error in &errors {
        session.printer.stderr(&error.render());
    }
    last.map_or(Ok(()), Err)
}

fn report(machine: InspectedMachine) -> Inspected {
    let text = |path: &Path| path.display().to_string();
    let api = text(&machine.api_socket);
    let (podman_socket, podman_pipe) = if api.starts_with(PIPES) {
        (None, Some(api))
    } else {
        (Some(api), None)
    };
    let config = machine.config;
    Inspected {
        config_dir: text(&machine.directory),
        podman_socket,
        podman_pipe,
        created: config.created,
        last_up: machine.last_up,
        name: config.name.to_string(),
        cpus: u64::from(config.resources.cpus),
        disk_gib: config.resources.disk_gib,
        memory_mib: config.resources.memory_mib,
        identity_path: text(&machine.ssh.identity),
        port: machine.ssh.port.unwrap_or(0),
        remote_username: machine.ssh.user,
        state: machine.status.podman_word(),
        user_mode_networking: true,
        rootful: config.rootful,
        rosetta: false,
        health: machine.status.health(),
        reason: machine.status.reason().to_owned(),
        image: config.image,
        image_digest: config.image_checksum.unwrap_or_default(),
        data_disk: machine.data_disk.as_deref().map(text),
    }
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
    use crate::cli::cmd::testing;
    use crate::cli::output::printer::Captured;
    use crate::store::testing::Bench;

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
            health: "",
            reason: String::new(),
            image: "Fedora CoreOS stable 44.20261101.3.0".to_owned(),
            image_digest: "sha256:00".to_owned(),
            data_disk: Some("/home/u/.local/share/machine/machines/vm/data.raw".to_owned()),
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
                  "Rosetta": false,
                  "Health": "",
                  "Reason": "",
                  "Image": "Fedora CoreOS stable 44.20261101.3.0",
                  "ImageDigest": "sha256:00",
                  "DataDisk": {
                       "Path": "/home/u/.local/share/machine/machines/vm/data.raw"
                  }
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
    fn inspected(
        bench: &Bench,
        format: Option<&str>,
        names: &[&str],
    ) -> (Result<(), String>, Captured) {
        let args = InspectArgs {
            format: format.map(str::to_owned),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        testing::run(bench, "", async |session| run(&args, session))
    }

    #[test]
    fn the_socket_of_a_machine() {
        let bench = Bench::new();
        let machine = bench.make("vm");
        let (result, captured) = inspected(
            &bench,
            Some("{{.ConnectionInfo.PodmanSocket.Path}}"),
            &["vm"],
        );
        assert_eq!(result, Ok(()));
        assert_eq!(
            captured.stdout.trim_end(),
            machine.files.api_socket().display().to_string()
        );
        assert_eq!(captured.stderr, "");
    }

    #[test]
    fn missing_machines_are_errors_after_the_found_ones() {
        let bench = Bench::new();
        bench.make("a");
        bench.make("b");
        let (result, captured) = inspected(&bench, Some("{{.Name}}"), &["a", "x", "b", "y"]);
        assert_eq!(captured.stdout, "a\nb\n");
        assert!(captured.stderr.starts_with("Error: x: VM does not exist\n"));
        assert!(
            result
                .expect_err("y is missing")
                .starts_with("Error: y: VM does not exist\n")
        );
        let (result, captured) = inspected(&bench, None, &[""]);
        assert_eq!(captured.stdout, "[]\n");
        let error = result.expect_err("there is no default machine");
        assert!(
            error.starts_with("Error: podman-machine-default: VM does not exist\n"),
            "{error}"
        );
    }
}
