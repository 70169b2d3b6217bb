//! `machine init`.

use super::{Session, start};
use crate::cli::args::init::InitArgs;
use crate::cli::args::name_or_default;
use crate::cli::error::CommandError;
use crate::cli::output::printer::Printer;
use crate::cli::progress::CopyBar;
use crate::cli::texts;
use crate::machine::resources::Wish;
use crate::machine::{MachineName, ProviderKind};
use crate::ops::init::{self, DEFAULT_USER, Host, InitProgress, InitReporter, InitRequest};

pub(super) async fn run(args: &InitArgs, session: &Session<'_>) -> Result<(), CommandError> {
    let request = request(args)?;
    let reporter = Reporter {
        printer: session.printer,
        bar: CopyBar::new(session.printer, &session.interrupt),
    };
    let host = Host::detect();
    let work = init::init(&session.store, &host, &request, &reporter);
    session.interrupt.guard(work).await?;
    // The bar goes before the last words come.
    drop(reporter);
    let name = request.name.as_str();
    session.printer.stdout(texts::INIT_COMPLETE);
    if args.now {
        return start::start(name, true, None, session, session.printer).await;
    }
    session.printer.stdout(&texts::start_hint(name));
    Ok(())
}

/// What the arguments ask for.
fn request(args: &InitArgs) -> Result<InitRequest, CommandError> {
    let name = MachineName::parse(name_or_default(&args.names))?;
    let Some(image) = &args.image else {
        return Err(CommandError::new("no image was given")
            .with_hint("give one with `--image FILE`; downloads come in a later version"));
    };
    let user = args.username.as_deref().unwrap_or(DEFAULT_USER);
    Ok(InitRequest {
        name,
        provider: ProviderKind::default(),
        user: user.to_owned(),
        image: image.clone(),
        wish: Wish {
            // A number that does not fit is more than any host has, which is what the check then says.
            cpus: args
                .cpus
                .map(|cpus| u32::try_from(cpus).unwrap_or(u32::MAX)),
            memory_mib: args.memory,
            disk_gib: args.disk_size,
        },
        rootful: args.rootful,
    })
}

/// Tells what is made, and asks the user's wish.
struct Reporter<'a> {
    printer: &'a Printer,
    bar: CopyBar,
}

impl InitReporter for Reporter<'_> {
    fn progress(&self, progress: InitProgress) {
        match progress {
            InitProgress::Image { description } => self.printer.stdout(&texts::image(&description)),
            InitProgress::Copying { done, total } => self.bar.update(done, total),
            InitProgress::Completing => {}
        }
    }

    fn cancelled(&self) -> bool {
        self.bar.is_cancelled()
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use clap::Parser as _;

    use super::*;
    use crate::cli::args::{Cli, Command};
    use crate::cli::cmd::testing;
    use crate::store::testing::Bench;

    fn args(line: &str) -> InitArgs {
        let cli = Cli::try_parse_from(line.split(' ')).expect("a good command line");
        match cli.command {
            Some(Command::Init(args)) => args,
            other => panic!("{other:?}"),
        }
    }

    fn refusal(line: &str) -> String {
        let error = request(&args(line)).expect_err(line);
        anstream::adapter::strip_str(&error.render()).to_string()
    }

    #[test]
    fn arguments_become_a_request() {
        let line =
            "machine init vm --image d.raw --cpus 2 -m 1024 --disk-size 7 --rootful --username me";
        let request = request(&args(line)).expect("a good request");
        assert_eq!(request.name.as_str(), "vm");
        assert_eq!(request.user, "me");
        assert_eq!(request.image, PathBuf::from("d.raw"));
        assert_eq!(
            request.wish,
            Wish {
                cpus: Some(2),
                memory_mib: Some(1024),
                disk_gib: Some(7)
            }
        );
        assert!(request.rootful);
    }

    #[test]
    fn names_are_checked_first() {
        assert_eq!(
            refusal("machine init a/b"),
            "Error: invalid name \"a/b\": names must match [a-zA-Z0-9][a-zA-Z0-9_.-]*: invalid argument\n"
        );
        assert_eq!(
            refusal("machine init"),
            "Error: no image was given\nhint: give one with `--image FILE`; downloads come in a later version\n"
        );
    }

    #[test]
    fn a_machine_with_a_blank_disk() {
        let bench = Bench::new();
        let empty = bench.root.path().join("empty");
        fs_err::write(&empty, "").expect("a file");
        let args = InitArgs {
            image: Some(empty),
            ..args("machine init vm --cpus 1 -m 512 --disk-size 1")
        };
        let (result, captured) =
            testing::run(&bench, "", async |session| run(&args, session).await);
        assert_eq!(result, Ok(()));
        assert_eq!(
            captured.stdout,
            "Image: none (a blank disk)\nMachine init complete\nTo start your machine run:\n\n\tmachine start vm\n\n"
        );
        assert_eq!(captured.stderr, "");
        let (result, _) = testing::run(&bench, "", async |session| run(&args, session).await);
        let error = result.expect_err("the name is taken");
        assert!(
            error.starts_with("Error: machine \"vm\" already exists\n"),
            "{error}"
        );
    }
}
