//! `machine system connection …`.

use super::Session;
use crate::cli::args::system::{
    AddArgs, ConnectionArgs, ConnectionCommand, ConnectionListArgs, SystemArgs, SystemCommand,
};
use crate::cli::error::CommandError;
use crate::cli::output::format::{self, Report};
use crate::cli::output::json;
use crate::cli::output::reports;
use crate::ops::connection::{self, AddError, AddRequest, ListedConnection};

/// What templates and their errors are called.
const TEMPLATE: &str = "list";
const COLUMNS: [&str; 5] = ["Name", "URI", "Identity", "Default", "ReadWrite"];
/// The columns of `--format tls`.
const TLS_COLUMNS: [&str; 8] = [
    "Name",
    "URI",
    "Identity",
    "TLSCA",
    "TLSCert",
    "TLSKey",
    "Default",
    "ReadWrite",
];
/// The variable that names podman on the other host, and the name where it is not set.
const REMOTE_PODMAN: (&str, &str) = ("PODMAN_BINARY", "podman");

pub(super) async fn run(args: &SystemArgs, session: &Session<'_>) -> Result<(), CommandError> {
    let Some(SystemCommand::Connection(ConnectionArgs {
        command: Some(command),
    })) = &args.command
    else {
        // The grammar has answered this already.
        return Ok(());
    };
    let file = &session.connections;
    let word = |words: &[String], index: usize| words.get(index).cloned().unwrap_or_default();
    match command {
        ConnectionCommand::Add(args) => return add(args, session).await,
        ConnectionCommand::List(args) => return list(args, session),
        ConnectionCommand::Default(args) => connection::set_default(file, &word(&args.words, 0)),
        ConnectionCommand::Remove(args) if args.all => connection::remove_all(file),
        ConnectionCommand::Remove(args) => connection::remove(file, &word(&args.words, 0)),
        ConnectionCommand::Rename(args) => {
            connection::rename(file, &word(&args.words, 0), &word(&args.words, 1))
        }
    }?;
    Ok(())
}

async fn add(args: &AddArgs, session: &Session<'_>) -> Result<(), CommandError> {
    let [name, destination] = args.words.as_slice() else {
        return Ok(());
    };
    let request = AddRequest {
        name: name.clone(),
        destination: destination.clone(),
        default: args.default,
        identity: args.identity.clone(),
        port: args.port,
        socket_path: args.socket_path.clone(),
        tls_ca: args.tls_ca.clone(),
        tls_cert: args.tls_cert.clone(),
        tls_key: args.tls_key.clone(),
        farm: args.farm.clone(),
    };
    let podman = std::env::var(REMOTE_PODMAN.0);
    let podman = podman.ok().filter(|podman| !podman.is_empty());
    let podman = podman.as_deref().unwrap_or(REMOTE_PODMAN.1);
    let work = connection::add(&session.connections, &request, podman);
    let outcome = session.interrupt.guard(work).await?;
    for warning in outcome.warnings {
        let warning = CommandError::new(warning);
        session.printer.stderr(&warning.render_warning());
    }
    Ok(())
}

fn list(args: &ConnectionListArgs, session: &Session<'_>) -> Result<(), CommandError> {
    let connections = all(session)?;
    session.printer.stdout(&render(args, &connections)?);
    Ok(())
}

/// The connections of the file and of `containers.conf`.
pub(super) fn all(session: &Session<'_>) -> Result<Vec<ListedConnection>, CommandError> {
    let connections = session.connections.read()?;
    Ok(connection::list(
        &connections,
        &session.hostconf.containers()?,
    ))
}

fn render(
    args: &ConnectionListArgs,
    connections: &[ListedConnection],
) -> Result<String, CommandError> {
    if args.quiet {
        let names = connections
            .iter()
            .map(|listed| format!("{}\n", listed.name));
        return Ok(names.collect());
    }
    let rows = reports::connections(connections);
    let report = match args.format.as_deref() {
        None | Some("") => Report::columns(TEMPLATE, &COLUMNS)?,
        Some("tls") => Report::columns(TEMPLATE, &TLS_COLUMNS)?,
        Some(format) if format::is_json(format) => return Ok(json::connections(&rows)?),
        Some(format) => Report::user(TEMPLATE, format)?,
    };
    Ok(report.render(Some(&reports::connection_headers()), &rows)?)
}

impl From<AddError> for CommandError {
    fn from(error: AddError) -> Self {
        Self::from_error(&error)
            .with_detail(error.detail())
            .with_hints(error.hints())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::args::{Cli, Command};
    use crate::cli::cmd::testing;
    use crate::cli::output::printer::Captured;
    use crate::store::testing::Bench;

    fn ran(bench: &Bench, line: &[&str]) -> (Result<(), String>, Captured) {
        let words = ["machine", "system", "connection"].iter().chain(line);
        let cli = Cli::try_parse_from(words).expect("a good command line");
        let Some(Command::System(args)) = cli.command else {
            panic!("not of system");
        };
        testing::run(bench, "", async |session| run(&args, session).await)
    }

    /// What a command that succeeds prints.
    fn printed(bench: &Bench, line: &[&str]) -> String {
        let (result, captured) = ran(bench, line);
        assert_eq!(result, Ok(()), "{line:?}");
        captured.stdout
    }

    fn bench() -> Bench {
        let bench = Bench::new();
        fs_err::write(
            bench.root.path().join("containers.conf"),
            "[engine]\nactive_service = \"conf\"\n[engine.service_destinations.conf]\nuri = \"tcp://conf:1\"\n",
        )
        .expect("a file");
        printed(&bench, &["add", "b", "tcp://b:1"]);
        printed(
            &bench,
            &["add", "--identity", "/k", "a", "ssh://me@a/p?x=1&y=2"],
        );
        bench
    }

    #[test]
    fn table() {
        let bench = bench();
        insta::assert_snapshot!(printed(&bench, &["list"]), @r"
        Name        URI                      Identity    Default     ReadWrite
        a           ssh://me@a:22/p?x=1&y=2  /k          false       true
        b           tcp://b:1                            true        true
        conf        tcp://conf:1                         false       false
        ");
        insta::assert_snapshot!(printed(&bench, &["ls", "--format", "tls"]), @r"
        Name        URI                      Identity    TLSCA       TLSCert     TLSKey      Default     ReadWrite
        a           ssh://me@a:22/p?x=1&y=2  /k                                              false       true
        b           tcp://b:1                                                                true        true
        conf        tcp://conf:1                                                             false       false
        ");
        assert_eq!(printed(&bench, &["ls", "-q"]), "a\nb\nconf\n");
        assert_eq!(
            printed(&bench, &["ls", "-f", "{{.Name}}={{.IsMachine}}"]),
            "a=false\nb=false\nconf=false\n"
        );
    }

    #[test]
    fn json() {
        insta::assert_snapshot!(printed(&bench(), &["list", "--format", "json"]), @r#"
        [
            {
                "Name": "a",
                "URI": "ssh://me@a:22/p?x=1\u0026y=2",
                "Identity": "/k",
                "Default": false,
                "ReadWrite": true
            },
            {
                "Name": "b",
                "URI": "tcp://b:1",
                "Default": true,
                "ReadWrite": true
            },
            {
                "Name": "conf",
                "URI": "tcp://conf:1",
                "Default": false,
                "ReadWrite": false
            }
        ]
        "#);
        assert_eq!(
            printed(&Bench::new(), &["list", "--format", "json"]),
            "[]\n"
        );
    }

    #[test]
    fn changes_say_nothing() {
        let bench = bench();
        for line in [
            ["default", "a"].as_slice(),
            &["rename", "a", "c"],
            &["mv", "b", "d"],
            &["remove", "gone"],
            &["rm", "d"],
        ] {
            assert_eq!(ran(&bench, line), (Ok(()), Captured::default()), "{line:?}");
        }
        assert_eq!(
            printed(&bench, &["ls", "-f", "{{.Name}} {{.Default}}"]),
            "c true\nconf false\n"
        );
        assert_eq!(printed(&bench, &["rm", "--all"]), "");
        assert_eq!(
            printed(&bench, &["ls", "-f", "{{.Name}} {{.Default}}"]),
            "conf true\n",
            "without a default of the file `active_service` counts"
        );
    }

    #[test]
    fn what_is_wrong_is_told() {
        let bench = Bench::new();
        let (result, captured) = ran(&bench, &["add", "x", "npipe:////./pipe/x"]);
        assert_eq!(result, Ok(()));
        assert_eq!(
            captured.stderr,
            "Warning: \"npipe\" unknown scheme, no validation provided\n"
        );
        let (result, _) = ran(&bench, &["default", "gone"]);
        let error = result.expect_err("it is not there");
        assert!(error.starts_with("Error: \"gone\" destination is not defined. See \"podman system connection add ...\" to create a connection\nhint: "), "{error}");
        let file = bench.root.path().join("connections.json");
        fs_err::write(file, "{").expect("a file");
        let (result, _) = ran(&bench, &["list"]);
        let error = result.expect_err("it is damaged");
        assert!(error.contains("is damaged\n  caused by: EOF"), "{error}");
    }
}
