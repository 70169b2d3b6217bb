//! `machine info`.

use machine_host::facts;

use super::Session;
use crate::cli::args::info::InfoArgs;
use crate::cli::error::CommandError;
use crate::cli::output::format::{self, Report};
use crate::cli::output::gotemplate::Value;
use crate::cli::output::host_report::{HostReport, PathsReport};
use crate::cli::output::{json, yaml};
use crate::connection::Connections;
use crate::machine::settings::Settings;
use crate::ops::doctor::Premises;
use crate::ops::host::providers;
use crate::ops::{image, info};
use crate::store::layout;
use crate::supervisor::client;

/// What templates and their errors are called.
const TEMPLATE: &str = "info";

pub(super) fn run(args: &InfoArgs, session: &Session<'_>) -> Result<(), CommandError> {
    let report = if args.paths {
        paths(session).to_value()
    } else {
        host(&session.premises())?.to_value()
    };
    session.printer.stdout(&render(args, &report)?);
    Ok(())
}

/// What `info` says of this host and its machines.
pub(super) fn host(premises: &Premises) -> Result<HostReport, CommandError> {
    // A file that others have broken is no reason to say nothing of the machines.
    let connections = premises.connections.read().unwrap_or_else(|error| {
        tracing::warn!("{error}");
        Connections::default()
    });
    let is_default = |name: &str| connections.default_name() == Some(name);
    let machines = info::info(&premises.store, is_default, client::probe)?;
    let layers = premises.hostconf.layers(&|name| std::env::var_os(name))?;
    let settings = Settings::resolve(&layers);
    let provider = settings.provider(&providers())?;
    let image = match settings.image {
        Some(image) => image.value,
        None => image::default_reference(provider)?.to_string(),
    };
    let directory = layout::machines(&premises.directories);
    let directory = directory.display().to_string();
    Ok(HostReport {
        arch: facts::architecture().go_name(),
        os: go_os(std::env::consts::OS),
        current_machine: machines.current,
        default_image: image,
        default_machine: machines.default,
        events_dir: directory.clone(),
        config_dir: directory,
        image_dir: layout::images(&premises.directories).display().to_string(),
        state: machines.state,
        machines: machines.count,
        vm_type: provider.word(),
        version: env!("CARGO_PKG_VERSION"),
    })
}

fn paths(session: &Session<'_>) -> PathsReport {
    let directories = &session.directories;
    PathsReport {
        config: directories.config_file.clone(),
        connections: session.connections.path().to_owned(),
        data: directories.data.clone(),
        images: layout::images(directories),
        machines: layout::machines(directories),
        short_sockets: directories.short_sockets.clone(),
    }
}

/// Go's name of the operating system.
fn go_os(name: &'static str) -> &'static str {
    match name {
        "macos" => "darwin",
        other => other,
    }
}

/// The output in the format that is asked for; YAML and an empty line where none is.
fn render(args: &InfoArgs, report: &Value) -> Result<String, CommandError> {
    match &args.format {
        Some(format) if format::is_json(format) => Ok(json::info(report)?),
        Some(format) => Ok(Report::single(TEMPLATE, format)?.render(None, report)?),
        None if args.paths => Ok(yaml::render(report)),
        None => Ok(yaml::render(report) + "\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::cmd::testing;
    use crate::store::testing::Bench;

    fn report() -> HostReport {
        HostReport {
            arch: "amd64",
            os: "linux",
            current_machine: "vm".to_owned(),
            default_image: "stable".to_owned(),
            default_machine: String::new(),
            events_dir: "/home/u/.local/share/machine/machines".to_owned(),
            config_dir: "/home/u/.local/share/machine/machines".to_owned(),
            image_dir: "/home/u/.local/share/machine/images".to_owned(),
            state: "Running",
            machines: 2,
            vm_type: "qemu",
            version: "1.2.3",
        }
    }

    fn rendered(format: Option<&str>) -> String {
        let args = InfoArgs {
            format: format.map(str::to_owned),
            paths: false,
            names: Vec::new(),
        };
        render(&args, &report().to_value())
            .unwrap_or_else(|error| anstream::adapter::strip_str(&error.render()).to_string())
    }

    /// Spec 1.4.7: the keys, their order, four blanks, and one newline more.
    #[test]
    fn yaml_is_the_default() {
        assert_eq!(
            rendered(None),
            "host:\n    arch: amd64\n    currentmachine: vm\n    defaultimage: stable\n    defaultmachine: \"\"\n    \
             eventsdir: /home/u/.local/share/machine/machines\n    \
             machineconfigdir: /home/u/.local/share/machine/machines\n    \
             machineimagedir: /home/u/.local/share/machine/images\n    machinestate: Running\n    \
             numberofmachines: 2\n    os: linux\n    vmtype: qemu\nversion:\n    apiversion: 1.2.3\n    \
             version: 1.2.3\n    goversion: \"\"\n    gitcommit: \"\"\n    \
             builttime: Thu Jan  1 00:00:00 1970\n    built: 0\n    buildorigin: \"\"\n    \
             osarch: linux/amd64\n    os: linux\n\n"
        );
    }

    #[test]
    fn json() {
        insta::assert_snapshot!(rendered(Some("json")), @r#"
        {
          "Host": {
            "Arch": "amd64",
            "CurrentMachine": "vm",
            "DefaultImage": "stable",
            "DefaultMachine": "",
            "EventsDir": "/home/u/.local/share/machine/machines",
            "MachineConfigDir": "/home/u/.local/share/machine/machines",
            "MachineImageDir": "/home/u/.local/share/machine/images",
            "MachineState": "Running",
            "NumberOfMachines": 2,
            "OS": "linux",
            "VMType": "qemu"
          },
          "Version": {
            "APIVersion": "1.2.3",
            "Version": "1.2.3",
            "GoVersion": "",
            "GitCommit": "",
            "BuiltTime": "Thu Jan  1 00:00:00 1970",
            "Built": 0,
            "OsArch": "linux/amd64",
            "Os": "linux"
          }
        }
        "#);
        assert!(rendered(Some("json")).ends_with("}\n"));
        assert_eq!(rendered(Some("{{json.}}")), rendered(Some("json")));
    }

    /// The error texts are those of podman 5.4.
    #[test]
    fn templates_see_one_object() {
        let cases = [
            ("{{.Host.NumberOfMachines}}", "2\n"),
            (
                "{{.Host.CurrentMachine}}\\t{{.Version.Os}}\n",
                "vm\tlinux\n",
            ),
            (
                "{{.Abc}}",
                "Error: template: info:1:2: executing \"info\" at <.Abc>: can't evaluate field Abc in type entities.MachineInfo\n",
            ),
            (
                "{{.Host.Abc}}",
                "Error: template: info:1:7: executing \"info\" at <.Host.Abc>: can't evaluate field Abc in type *entities.MachineHostInfo\n",
            ),
        ];
        for (format, expected) in cases {
            assert_eq!(rendered(Some(format)), expected, "{format}");
        }
    }

    #[test]
    fn the_default_machine_has_the_name_of_the_default_connection() {
        let bench = Bench::new();
        bench.make("vm");
        let file = r#"{"Connection":{"Default":"vm","Connections":{"vm":{"URI":"ssh://core@127.0.0.1:1/x"}}}}"#;
        fs_err::write(bench.root.path().join("connections.json"), file).expect("a file");
        let args = InfoArgs {
            format: Some("{{.Host.DefaultMachine}} {{.Host.MachineState}}".to_owned()),
            paths: false,
            names: Vec::new(),
        };
        let (result, captured) = testing::run(&bench, "", async |session| run(&args, session));
        assert_eq!(result, Ok(()));
        assert_eq!(captured.stdout, "vm Stopped\n");
        let format = Some("{{.Host.DefaultImage}}".to_owned());
        let args = InfoArgs { format, ..args };
        let shown = || testing::run(&bench, "", async |session| run(&args, session)).1;
        assert_eq!(shown().stdout, "stable\n");
        let config = "[image]\ndefault = \"next\"\n";
        fs_err::write(bench.root.path().join("config.toml"), config).expect("a file");
        assert_eq!(shown().stdout, "next\n");
    }

    #[test]
    fn paths_are_told_in_each_format() {
        let bench = Bench::new();
        let told = |format: Option<&str>| {
            let args = InfoArgs {
                format: format.map(str::to_owned),
                paths: true,
                names: Vec::new(),
            };
            let (result, captured) = testing::run(&bench, "", async |session| run(&args, session));
            assert_eq!(result, Ok(()));
            captured.stdout
        };
        let machines = bench.root.path().join("d").join("machines");
        let machines = machines.display();
        assert!(
            told(None).contains(&format!("\nmachines: {machines}\n")),
            "{}",
            told(None)
        );
        let json: serde_json::Value = serde_json::from_str(&told(Some("json"))).expect("JSON");
        let keys: Vec<_> = json.as_object().expect("an object").keys().collect();
        assert_eq!(
            keys,
            [
                "Config",
                "Connections",
                "Data",
                "Images",
                "Machines",
                "ShortSockets"
            ]
        );
        assert_eq!(told(Some("{{.Machines}}")), format!("{machines}\n"));
    }
}
