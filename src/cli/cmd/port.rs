//! `machine port …`.

use super::Session;
use crate::cli::args::name_or_default;
use crate::cli::args::port::{PortArgs, PortCommand, PortListArgs};
use crate::cli::error::CommandError;
use crate::cli::output::format::{self, Report};
use crate::cli::output::{json, port_report};
use crate::machine::MachineName;
use crate::machine::ports::Forward;
use crate::ops::adopt;
use crate::ops::port::{self, ListedPort, PortError};

const TEMPLATE: &str = "list";

pub(super) async fn run(args: &PortArgs, session: &Session<'_>) -> Result<(), CommandError> {
    match &args.command {
        // The grammar has answered this already.
        None => Ok(()),
        Some(PortCommand::List(args)) => {
            let machine = session.store.find(name_or_default(&args.words))?;
            attended(&machine.config.name, session).await;
            let ports = port::list(&machine).await?;
            session.printer.stdout(&render(args, &ports)?);
            Ok(())
        }
        Some(PortCommand::Add(args)) => {
            let (port, name) = addressed(&args.words, session)?;
            let work = async {
                attended(&name, session).await;
                port::add(&session.store, &name, port).await
            };
            Ok(session.interrupt.guard(work).await?)
        }
        Some(PortCommand::Rm(args)) => {
            let (port, name) = addressed(&args.words, session)?;
            let work = async {
                attended(&name, session).await;
                port::remove(&session.store, &name, port).await
            };
            Ok(session.interrupt.guard(work).await?)
        }
    }
}

/// Sees to it that a machine that is up has somebody who can be asked.
async fn attended(name: &MachineName, session: &Session<'_>) {
    if let Ok(files) = session.store.files(name) {
        adopt::status(&session.store, name, &files).await;
    }
}

/// The port and the machine that the words name; the grammar has checked them.
fn addressed(
    words: &[String],
    session: &Session<'_>,
) -> Result<(Forward, MachineName), CommandError> {
    let (port, name) = words.split_at(words.len().min(1));
    let port = port.concat().parse::<Forward>();
    let port = port.map_err(|error| CommandError::from_error(&error))?;
    let machine = session.store.find(name_or_default(name))?;
    Ok((port, machine.config.name))
}

fn render(args: &PortListArgs, ports: &[ListedPort]) -> Result<String, CommandError> {
    if args.format.as_deref().is_some_and(format::is_json) {
        return Ok(json::list(&port_report::json(ports))?);
    }
    let report = match &args.format {
        Some(format) => Report::user(TEMPLATE, format)?,
        None => Report::columns(TEMPLATE, &port_report::FIELDS)?,
    };
    let headers = format::headers(&port_report::FIELDS, &[("GuestPort", "GUEST PORT")]);
    let headers = (!args.noheading).then_some(&headers);
    Ok(report.render(headers, &port_report::rows(ports))?)
}

impl From<PortError> for CommandError {
    fn from(error: PortError) -> Self {
        Self::from_error(&error).with_hints(error.hints())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::args::{Cli, Command};
    use crate::cli::cmd::testing;
    use crate::store::testing::Bench;

    fn ran(bench: &Bench, line: &[&str]) -> (Result<(), String>, String) {
        let words = ["machine", "port"].iter().chain(line);
        let cli = Cli::try_parse_from(words).expect("a good command line");
        let Some(Command::Port(args)) = cli.command else {
            panic!("not of port");
        };
        let (result, captured) = testing::run(bench, "", async |session| run(&args, session).await);
        (result, captured.stdout)
    }

    #[test]
    fn added_listed_and_removed() {
        let bench = Bench::new();
        bench.make("vm");
        for port in ["8080:80", "[::1]:53/udp"] {
            assert_eq!(ran(&bench, &["add", port, "vm"]), (Ok(()), String::new()));
        }
        insta::assert_snapshot!(ran(&bench, &["list", "vm"]).1, @r"
        ADDRESS     PORT        PROTOCOL    GUEST PORT  OWNER       STATE
        ::1         53          udp         53          configured  closed
        0.0.0.0     8080        tcp         80          configured  closed
        ");
        insta::assert_snapshot!(ran(&bench, &["ls", "--format", "json", "vm"]).1, @r#"
        [
            {
                "Address": "::1",
                "Port": 53,
                "Protocol": "udp",
                "GuestPort": 53,
                "Owner": "configured",
                "State": "closed"
            },
            {
                "Address": "0.0.0.0",
                "Port": 8080,
                "Protocol": "tcp",
                "GuestPort": 80,
                "Owner": "configured",
                "State": "closed"
            }
        ]
        "#);
        let template = "{{.Address}} {{.Port}}>{{.GuestPort}} {{.Owner}}";
        assert_eq!(
            ran(&bench, &["list", "--format", template, "vm"]).1,
            "::1 53>53 configured\n0.0.0.0 8080>80 configured\n"
        );
        assert_eq!(ran(&bench, &["rm", "8080", "vm"]).0, Ok(()));
        let again = ran(&bench, &["rm", "8080", "vm"]).0.unwrap_err();
        assert!(
            again.contains("Machine `vm` has no configured port 8080:8080/tcp")
                && again.contains("machine port list vm"),
            "{again}"
        );
        let absent = ran(&bench, &["add", "1"]).0.unwrap_err();
        assert!(absent.contains("podman-machine-default"), "{absent}");
    }
}
