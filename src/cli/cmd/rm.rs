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
    let plan = rm::plan(&session.store, name, args.force, client::probe);
    if plan.as_ref().is_err_and(rm::RemoveError::names_nobody) {
        rm::finish(&session.store, &session.connections);
    }
    let mut plan = plan?;
    if args.keep_data {
        plan = plan.keep_data()?;
    }
    if !args.force {
        let paths: Vec<String> = plan
            .paths
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        session.printer.stdout(&texts::deletion(&paths));
        if plan.keeps_data {
            let disk = plan.files.data_disk();
            let text = texts::data_disk_stays(&disk.display().to_string(), true);
            session.printer.stdout(&text);
        }
        if let Some(disk) = plan.file_that_stays() {
            let text = texts::data_disk_stays(&disk.display().to_string(), false);
            session.printer.stdout(&text);
        }
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
    if let Some(disk) = &removed.data_disk {
        let user = plan.config.as_ref().map(|config| config.user.as_str());
        let disk = disk.display().to_string();
        let text = texts::data_disk_kept(&disk, plan.name.as_str(), user);
        session.printer.stdout(&text);
    }
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
            keep_data: false,
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
    fn what_is_kept_is_told_before_and_after() {
        let bench = Bench::new();
        let machine = bench.make("vm");
        let guard = bench.store.edit(&machine.config.name).expect("it is there");
        let update = guard.update::<crate::store::StoreError>(|config| {
            config.data_disk = Some(crate::machine::DataDisk::Own);
            config.user = "ann".to_owned();
            Ok(())
        });
        update.expect("it can be changed");
        drop(guard);
        fs_err::write(machine.files.data_disk(), "").expect("a file");
        let args = RmArgs {
            force: false,
            keep_data: true,
            names: vec!["vm".to_owned()],
        };
        let (result, captured) =
            testing::run(&bench, "y\n", async |session| run(&args, session).await);
        assert_eq!(result, Ok(()));
        let disk = machine.files.data_disk().display().to_string();
        let kept = bench.directories().data.join("data-disks").join("vm.raw");
        assert!(kept.exists());
        let said = captured.stdout;
        assert!(!said.contains(&format!("\n{disk}\n")), "{said}");
        assert!(
            said.contains(&format!("The data disk {disk} will be kept.\n")),
            "{said}"
        );
        let command = format!(
            "\tmachine init --data-disk '{}' --username ann vm\n",
            kept.display()
        );
        assert!(said.contains(&command), "{said}");
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

    /// A disk that failed may not even let a removal be finished, and then the machine is no longer there to be named.
    #[test]
    fn a_removal_that_was_cut_off_is_finished_by_the_same_command() {
        let bench = Bench::new();
        let machine = bench.make("vm");
        let directory = machine.files.directory();
        // The name of one that is being removed: src/store/layout.rs.
        let hidden = directory.with_file_name(".vm.removed-0123456789abcdef");
        fs_err::rename(directory, &hidden).expect("both are in one directory");
        assert_eq!(bench.hidden().len(), 1);
        let (result, _) = remove(&bench, true, "");
        let error = result.expect_err("it is gone");
        assert!(
            error.starts_with("Error: vm: VM does not exist\n"),
            "{error}"
        );
        assert_eq!(bench.hidden(), Vec::<String>::new());
    }
}
