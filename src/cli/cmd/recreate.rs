//! `machine recreate`.

use std::ffi::OsStr;

use machine_images::Reference;

use super::init::Reporter;
use super::{Session, image};
use crate::cli::args::image::FetchArgs;
use crate::cli::args::name_or_default;
use crate::cli::args::recreate::RecreateArgs;
use crate::cli::error::CommandError;
use crate::cli::texts;
use crate::machine::ProviderKind;
use crate::ops;
use crate::ops::host::Host;
use crate::ops::image::ImageRequest;
use crate::ops::recreate::{self, RecreateRequest};

pub(super) async fn run(args: &RecreateArgs, session: &Session<'_>) -> Result<(), CommandError> {
    let machine = session.store.find(name_or_default(&args.names))?;
    let name = machine.config.name;
    let image = match &args.image {
        Some(image) => Some(request(
            image,
            machine.config.provider,
            &args.fetch,
            session,
        )?),
        None => refuse_alone(&args.fetch).map(|()| None)?,
    };
    let request = RecreateRequest {
        name: name.clone(),
        image,
        discard_data: args.discard_data,
        force: args.force,
    };
    let reporter = Reporter::new(session, args.fetch.progress);
    let cache = image::cache(session);
    let host = Host::detect();
    let stop = async |files: &_| ops::stop::stop(&session.store, &name, files, false).await;
    let work = recreate::recreate(&session.store, &cache, &host, &request, &reporter, stop);
    let recreated = session.interrupt.guard(Box::pin(work)).await?;
    // The bar goes before the last words come.
    drop(reporter);
    let text = texts::recreated(name.as_str(), recreated.has_new_data_disk);
    session.printer.stdout(&text);
    Ok(())
}

fn request(
    image: &OsStr,
    provider: ProviderKind,
    fetch: &FetchArgs,
    session: &Session<'_>,
) -> Result<ImageRequest, CommandError> {
    image::request(Reference::parse(image)?, provider, fetch, session)
}

/// Refuses flags that are about a named image, where there is none.
fn refuse_alone(fetch: &FetchArgs) -> Result<(), CommandError> {
    let flag = if fetch.checksum.is_some() {
        "--checksum"
    } else if fetch.image_lock.is_some() {
        "--image-lock"
    } else {
        return Ok(());
    };
    let error = CommandError::new(format!("`{flag}` is about an image that `--image` names"));
    Err(error.with_hint("the machine's own image is used as it is"))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::args::{Cli, Command};
    use crate::cli::cmd::testing;
    use crate::cli::output::printer::Captured;
    use crate::store::testing::Bench;

    fn recreate(bench: &Bench, line: &str) -> (Result<(), String>, Captured) {
        let cli = Cli::try_parse_from(line.split(' ')).expect("a good command line");
        let Some(Command::Recreate(args)) = cli.command else {
            panic!("no recreate");
        };
        testing::run(bench, "", async |session| run(&args, session).await)
    }

    #[test]
    fn a_machine_without_a_data_disk_says_what_would_be_lost() {
        let bench = Bench::new();
        bench.make("vm");
        let (result, captured) = recreate(&bench, "machine recreate vm");
        let error = result.expect_err("all would be lost");
        assert_eq!(
            error,
            "Error: Machine `vm` has no data disk: its images, containers, volumes, networks and quadlets are on the \
             disk that would be thrown away\n\
             hint: save what is needed: podman save, podman volume export\n\
             hint: if nothing of it is needed: machine recreate --discard-data vm\n"
        );
        assert_eq!(captured, Captured::default());
        let (result, _) = recreate(&bench, "machine recreate gone");
        let error = result.expect_err("it is not there");
        assert!(
            error.starts_with("Error: gone: VM does not exist\n"),
            "{error}"
        );
        let (result, _) = recreate(&bench, "machine recreate --image-lock f vm");
        let error = result.expect_err("no image is named");
        assert!(
            error.starts_with("Error: `--image-lock` is about an image"),
            "{error}"
        );
    }
}
