//! `machine rm`.

use super::Session;
use crate::cli::args::name_or_default;
use crate::cli::args::rm::RmArgs;
use crate::cli::error::CommandError;
use crate::cli::{prompt, texts};
use crate::ops::{self, rm};
use crate::supervisor::client;

pub(super) async fn run(args: &RmArgs, session: &mut Session<'_>) -> Result<(), CommandError> {
    let name = name_or_default(&args.names);
    let plan = rm::plan(&session.store, name, args.force, client::probe)?;
    if !args.force {
        let paths: Vec<String> = plan
            .paths
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        session.printer.stdout(&texts::deletion(&paths));
        if !prompt::confirm(session.printer, session.input, texts::DELETION_QUESTION)? {
            return Ok(());
        }
    }
    let stop = async |files: &_| ops::stop::stop(&session.store, &plan.name, files, true).await;
    let work = rm::remove(
        &session.store,
        &session.connections,
        &plan,
        args.force,
        client::probe,
        stop,
    );
    let removed = session.interrupt.guard(work).await?;
    if let Some(error) = removed.connections {
        let warning = CommandError::from(error);
        let warning =
            warning.with_hint("the machine is removed; the next change removes its connections");
        session.printer.stderr(&warning.render_warning());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::cmd::testing;
    use crate::cli::output::printer::Captured;
    use crate::store::testing::Bench;

    fn remove(bench: &Bench, force: bool, input: &str) -> (Result<(), String>, Captured) {
        let args = RmArgs {
            force,
            names: vec!["vm".to_owned()],
        };
        testing::run(bench, input, async |session| run(&args, session).await)
    }

    #[test]
    fn yes_removes_what_was_shown() {
        let bench = Bench::new();
        let machine = bench.make("vm");
        let (result, captured) = remove(&bench, false, "y\n");
        assert_eq!(result, Ok(()));
        let directory = machine.files.directory().display();
        let expected = format!(
            "The following files will be deleted:\n\n\n{directory}/disk.qcow2\n{directory}/machine.toml\n{directory}\n\
             Are you sure you want to continue? [y/N] "
        );
        assert_eq!(
            captured.stdout.replace('\\', "/"),
            expected.replace('\\', "/")
        );
        assert!(!machine.files.directory().exists());
    }

    #[test]
    fn no_is_a_silent_success_and_no_answer_an_error() {
        let bench = Bench::new();
        let machine = bench.make("vm");
        assert_eq!(remove(&bench, false, "n\n").0, Ok(()));
        assert_eq!(remove(&bench, false, "").0, Err("Error: EOF\n".to_owned()));
        assert!(machine.files.directory().exists());
    }

    #[test]
    fn force_asks_and_says_nothing() {
        let bench = Bench::new();
        let machine = bench.make("vm");
        assert_eq!(remove(&bench, true, ""), (Ok(()), Captured::default()));
        assert!(!machine.files.directory().exists());
        let (result, captured) = remove(&bench, true, "");
        let error = result.expect_err("it is gone");
        assert!(
            error.starts_with("Error: vm: VM does not exist\n"),
            "{error}"
        );
        assert_eq!(captured, Captured::default());
    }
}
