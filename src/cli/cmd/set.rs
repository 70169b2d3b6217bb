//! `machine set`.

use super::Session;
use crate::cli::args::name_or_default;
use crate::cli::args::set::SetArgs;
use crate::cli::error::CommandError;
use crate::cli::texts;
use crate::machine::Volume;
use crate::machine::resources::Wish;
use crate::ops::host::Host;
use crate::ops::set::{self, SetRequest};
use crate::ops::sockets;

pub(super) async fn run(args: &SetArgs, session: &Session<'_>) -> Result<(), CommandError> {
    let machine = session.store.find(name_or_default(&args.names))?;
    let name = &machine.config.name;
    let mut request = request(args);
    request.volumes = volumes(args, &machine.config.user, session)?;
    if !args.forward_socket.is_empty() {
        let sockets = sockets::settle(&args.forward_socket, &machine.config.user)?;
        request.forward_sockets = Some(sockets);
    }
    let host = Host::detect();
    let work = set::set(&session.store, &session.connections, &host, name, &request);
    let outcome = session.interrupt.guard(work).await?;
    let printer = session.printer;
    if let Some(shortage) = outcome.shortage {
        printer.stderr(&texts::disk_shortage(
            shortage.disk_gib,
            shortage.free_bytes,
        ));
    }
    if outcome.volumes_wait {
        printer.stderr(&texts::volumes_wait(name.as_str()));
    }
    for missing in &outcome.missing_sockets {
        printer.stderr(&texts::missing_socket(missing));
    }
    if let Some(left) = outcome.left {
        printer.stderr(&texts::left_behind(
            name.as_str(),
            left.containers,
            left.rootful,
        ));
    }
    Ok(())
}

/// The folders that are to be shared instead of those that are.
fn volumes(
    args: &SetArgs,
    user: &str,
    session: &Session<'_>,
) -> Result<Option<Vec<Volume>>, CommandError> {
    if args.volume.is_empty() {
        return Ok(None);
    }
    super::volumes::settle(&args.volume, false, user, session).map(Some)
}

/// What the arguments ask for, the folders and sockets aside.
fn request(args: &SetArgs) -> SetRequest {
    // `--usb ""` is podman's way to say none.
    let usbs = args
        .setting
        .usb
        .iter()
        .filter(|usb| !usb.is_empty())
        .cloned();
    SetRequest {
        wish: Wish {
            // A number that does not fit is more than any host has, which is what the check then says.
            cpus: args
                .setting
                .cpus
                .map(|cpus| u32::try_from(cpus).unwrap_or(u32::MAX)),
            memory_mib: args.setting.memory,
            disk_gib: args.disk_size,
        },
        rootful: args.setting.rootful,
        time_zone: args.timezone.clone(),
        swap_mib: args.setting.swap,
        import_native_ca: args.setting.import_native_ca,
        vsock: args.setting.vsock,
        network: args.setting.network,
        host_loopback: args.setting.host_loopback,
        forward_listeners: args.setting.forward_listeners,
        usbs: (!args.setting.usb.is_empty()).then(|| usbs.collect()),
        volumes: None,
        forward_sockets: None,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::args::{Cli, Command};
    use crate::cli::cmd::testing;
    use crate::machine::{Network, Vsock};
    use crate::store::testing::Bench;

    fn args(line: &str) -> SetArgs {
        let cli = Cli::try_parse_from(line.split(' ')).expect("a good command line");
        match cli.command {
            Some(Command::Set(args)) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn arguments_become_a_request() {
        // Podman Desktop's order: the name before the flags.
        let line =
            "machine set vm --cpus 2 --memory 4096 --disk-size 200 --rootful=false --timezone UTC";
        let line = format!(
            "{line} -s 512 --import-native-ca --vsock user --network gvproxy --host-loopback=false --forward-listeners --usb a --usb b"
        );
        assert_eq!(
            request(&args(&line)),
            SetRequest {
                wish: Wish {
                    cpus: Some(2),
                    memory_mib: Some(4096),
                    disk_gib: Some(200)
                },
                rootful: Some(false),
                time_zone: Some("UTC".to_owned()),
                swap_mib: Some(512),
                import_native_ca: Some(true),
                vsock: Some(Vsock::User),
                network: Some(Network::Gvproxy),
                host_loopback: Some(false),
                forward_listeners: Some(true),
                usbs: Some(vec!["a".to_owned(), "b".to_owned()]),
                volumes: None,
                forward_sockets: None,
            }
        );
        assert_eq!(
            request(&args("machine set --user-mode-networking vm")),
            SetRequest::default()
        );
        let none = request(&args("machine set --usb= --rootful"));
        assert_eq!((none.usbs, none.rootful), (Some(Vec::new()), Some(true)));
    }

    #[test]
    fn success_says_nothing() {
        let bench = Bench::new();
        bench.make("vm");
        let args = args("machine set --rootful --time-zone UTC vm");
        let (result, captured) =
            testing::run(&bench, "", async |session| run(&args, session).await);
        assert_eq!(result, Ok(()));
        assert_eq!(captured, crate::cli::output::printer::Captured::default());
        let config = bench.store.find("vm").expect("it is there").config;
        assert!(config.rootful);
    }

    #[test]
    fn volumes_are_replaced_and_a_slip_changes_nothing() {
        let bench = Bench::new();
        bench.make("vm");
        let folder = bench.root.path().display().to_string();
        let set = |volumes: &[String]| {
            let args = SetArgs {
                volume: volumes.to_vec(),
                ..args("machine set vm")
            };
            testing::run(&bench, "", async |session| run(&args, session).await)
        };
        let stored = || bench.store.find("vm").expect("it is there").config.volumes;
        let (result, captured) =
            set(&[format!("{folder}:/mnt/a:ro"), format!("{folder}:/mnt/b:Z")]);
        assert_eq!(result, Ok(()));
        assert_eq!(captured.stdout, "Unknown option: Z\n");
        assert_eq!(stored().len(), 2);
        assert!(stored()[0].read_only && stored()[1].target == "/mnt/b");

        let error = set(&[format!("{folder}:/etc")])
            .0
            .expect_err("the guest's own");
        assert!(
            error.starts_with("Error: machine mount destination cannot be \"/etc\": "),
            "{error}"
        );
        let error = set(&["/nowhere/at/all".to_owned()])
            .0
            .expect_err("no folder");
        assert!(error.contains("cannot be shared"), "{error}");
        assert_eq!(stored().len(), 2);

        assert_eq!(set(&[String::new()]).0, Ok(()));
        assert_eq!(stored(), []);
    }

    #[test]
    fn an_unknown_machine_comes_first() {
        let bench = Bench::new();
        let args = args("machine set --memory 99999999");
        let (result, _) = testing::run(&bench, "", async |session| run(&args, session).await);
        let error = result.expect_err("there is no machine");
        assert!(
            error.starts_with("Error: podman-machine-default: VM does not exist\n"),
            "{error}"
        );
    }
}
