//! Which machine podman's clients use by default: what `start` asks before it begins, and does in the end.

use super::{Session, connection};
use crate::cli::error::CommandError;
use crate::cli::{prompt, texts};
use crate::connection::machine::{Completed, name_of_mode};
use crate::machine::MachineConfig;
use crate::ops;
use crate::supervisor::client;

/// Whether the machine is to become the default: as `--update-connection` says, else as the user answers at a terminal,
/// else not (section 1.4.2). Nothing is asked of a machine that is the default.
pub(super) fn choose(
    update: Option<bool>,
    config: &MachineConfig,
    session: &mut Session<'_>,
) -> Result<bool, CommandError> {
    if update == Some(false) || (update.is_none() && !session.interactive) {
        return Ok(false);
    }
    let name = name_of_mode(&config.name, config.rootful);
    let connections = connection::all(session);
    let is_default = match connections {
        Ok(connections) => connections
            .iter()
            .any(|listed| listed.default && listed.name == name),
        // It is wanted and cannot be done: better known before the boot.
        Err(error) if update == Some(true) => return Err(error),
        // It is told once the machine is up.
        Err(_) => return Ok(false),
    };
    if update == Some(true) || is_default {
        return Ok(update == Some(true));
    }
    session.printer.stdout(texts::NOT_DEFAULT);
    let yes = prompt::confirm(session.printer, session.input, texts::DEFAULT_QUESTION)?;
    session.printer.stdout(&texts::default_decided(&name, yes));
    Ok(yes)
}

/// The same for a machine by its name. An unknown one is an error before anything is said, and one that runs already is
/// not asked about: its start fails.
pub(super) fn choose_for(
    name: &str,
    update: Option<bool>,
    session: &mut Session<'_>,
) -> Result<bool, CommandError> {
    let machine = session.store.find(name)?;
    if client::probe(&machine.files).is_running() {
        return Ok(false);
    }
    choose(update, &machine.config, session)
}

/// Makes the connections of a machine that is up whole, and its own the default where that was chosen. A failure to do
/// what nobody asked for is a warning only: the machine is up.
pub(super) fn settle(
    name: &str,
    make_default: bool,
    session: &Session<'_>,
) -> Result<(), CommandError> {
    match complete(name, make_default, session) {
        Ok(completed) => {
            for name in completed.foreign {
                let warning = CommandError::new(format!(
                    "connection \"{name}\" leads elsewhere, so the machine has none of this name"
                ));
                let warning = warning.with_hint(format!(
                    "remove it with `machine system connection remove {name}`; the next start adds the machine's"
                ));
                session.printer.stderr(&warning.render_warning());
            }
            Ok(())
        }
        Err(error) if make_default => Err(error),
        Err(error) => {
            session.printer.stderr(&error.render_warning());
            Ok(())
        }
    }
}

fn complete(
    name: &str,
    make_default: bool,
    session: &Session<'_>,
) -> Result<Completed, CommandError> {
    // Read anew: the start may have chosen another port.
    let machine = session.store.find(name)?;
    let scheme = ops::connection::scheme(session.hostconf.own()?.connection_scheme);
    Ok(ops::connection::after_start(
        &session.store,
        &session.connections,
        &machine.config,
        &machine.files,
        scheme,
        make_default,
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::cmd::testing;
    use crate::cli::output::printer::Captured;
    use crate::store::testing::Bench;

    const QUESTION: &str = "Warning: The machine being started is not set as your default Podman connection.\n\
        As such, Podman commands may not work correctly.\n\
        Set the default Podman connection to this machine? [y/N] ";

    fn chosen(
        bench: &Bench,
        update: Option<bool>,
        interactive: bool,
        input: &str,
    ) -> (Result<bool, String>, Captured) {
        let machine = bench.store.find("vm").expect("a machine");
        let mut answer = false;
        let (result, captured) = testing::run(bench, input, async |session| {
            session.interactive = interactive;
            answer = choose(update, &machine.config, session)?;
            Ok(())
        });
        (result.map(|()| answer), captured)
    }

    #[test]
    fn only_a_terminal_is_asked_and_only_where_nothing_is_said() {
        let bench = Bench::new();
        bench.make("vm");
        for (update, interactive, expected) in [
            (None, false, false),
            (Some(false), true, false),
            (Some(true), true, true),
            (Some(true), false, true),
        ] {
            let (result, captured) = chosen(&bench, update, interactive, "y\n");
            assert_eq!((result, captured), (Ok(expected), Captured::default()));
        }
        let (result, captured) = chosen(&bench, None, true, "y\n");
        assert_eq!(result, Ok(true));
        let decided = "\nDefault system connection will be changed to \"vm\"\n\n";
        assert_eq!(captured.stdout, format!("{QUESTION}{decided}"));
        let (result, captured) = chosen(&bench, None, true, "n\n");
        assert_eq!(result, Ok(false));
        let decided = "\nDefault system connection will remain unchanged\n\n";
        assert_eq!(captured.stdout, format!("{QUESTION}{decided}"));
        let (result, _) = chosen(&bench, None, true, "");
        assert_eq!(result, Err("Error: EOF\n".to_owned()));
    }

    fn settled(bench: &Bench, make_default: bool) -> (Result<(), String>, Captured) {
        testing::run(bench, "", async |session| {
            settle("vm", make_default, session)
        })
    }

    #[test]
    fn the_default_is_left_in_peace() {
        let bench = Bench::new();
        bench.make("vm");
        assert_eq!(settled(&bench, true), (Ok(()), Captured::default()));
        let (result, captured) = chosen(&bench, None, true, "");
        assert_eq!((result, captured), (Ok(false), Captured::default()));
    }

    #[test]
    fn a_file_that_cannot_be_changed_is_an_error_only_where_a_change_was_asked_for() {
        let bench = Bench::new();
        bench.make("vm");
        fs_err::write(bench.root.path().join("connections.json"), "{").expect("a file");
        let (result, captured) = settled(&bench, false);
        assert_eq!(result, Ok(()));
        assert!(
            captured.stderr.starts_with("Warning: Connections file `"),
            "{}",
            captured.stderr
        );
        assert!(settled(&bench, true).0.is_err());
        assert!(chosen(&bench, Some(true), false, "").0.is_err());
        assert_eq!(chosen(&bench, None, true, "").0, Ok(false));
    }

    #[test]
    fn a_foreign_connection_of_the_name_is_told_and_kept() {
        let bench = Bench::new();
        bench.make("vm");
        let file =
            crate::connection::ConnectionsFile::at(bench.root.path().join("connections.json"));
        file.edit(|connections| {
            connections.insert("vm", crate::connection::Connection::to("tcp://h:1"));
            Ok(())
        })
        .expect("a change");
        let (result, captured) = settled(&bench, true);
        assert_eq!(result, Ok(()));
        assert!(
            captured
                .stderr
                .starts_with("Warning: connection \"vm\" leads elsewhere"),
            "{}",
            captured.stderr
        );
        let connections = file.read().expect("a file");
        assert_eq!(connections.get("vm").expect("it stays").uri, "tcp://h:1");
        assert!(connections.get("vm-root").is_some());
    }
}
