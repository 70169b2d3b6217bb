//! `machine image …`.

mod bundle;
mod verify;

use std::ffi::OsStr;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;

use jiff::Timestamp;
use machine_images::oci::Access;
use machine_images::{Cache, FetchProgress, FetchReporter, Reference};

use super::Session;
use crate::cli::args::image::{
    FetchArgs, ImageArgs, ImageCommand, ImageListArgs, ImageRmArgs, PullArgs,
};
use crate::cli::error::CommandError;
use crate::cli::image_bar::ImageBar;
use crate::cli::output::format::{self, Report};
use crate::cli::output::{image_report, json, units};
use crate::machine::ProviderKind;
use crate::machine::settings::{Layer, Origin, Settings, Wishes};
use crate::ops::host;
use crate::ops::image::{self, ImageReporter, ImageRequest, ImageSources};
use crate::ops::images::{self, ListedImage, Removed};
use crate::store::layout;

/// What templates and their errors are called.
const TEMPLATE: &str = "list";
const COLUMNS: [&str; 6] = ["ID", "Name", "Size", "Verified", "Used", "Machines"];

pub(super) async fn run(args: &ImageArgs, session: &Session<'_>) -> Result<(), CommandError> {
    match &args.command {
        // The grammar has answered this already.
        None => Ok(()),
        Some(ImageCommand::List(args)) => list(args, session),
        Some(ImageCommand::Pull(args)) => pull(args, session).await,
        Some(ImageCommand::Export(args)) => bundle::export(args, session).await,
        Some(ImageCommand::Import(args)) => bundle::import(args, session).await,
        Some(ImageCommand::Verify(args)) => verify::run(args, session).await,
        Some(ImageCommand::Rm(args)) => remove(args, session),
        Some(ImageCommand::Prune(_)) => {
            let removed = images::prune(&cache(session), &session.store, Timestamp::now())?;
            session.printer.stdout(&removal(&removed));
            Ok(())
        }
    }
}

/// The cache of the user's images.
pub(super) fn cache(session: &Session<'_>) -> Cache {
    Cache::at(layout::images(&session.directories))
}

/// An image as the user names it, fetched as the flags say.
pub(super) fn request(
    reference: Reference,
    provider: ProviderKind,
    args: &FetchArgs,
    session: &Session<'_>,
) -> Result<ImageRequest, CommandError> {
    let own = session.hostconf.own()?;
    let mirrors = own.image_mirrors.iter().map(|text| {
        text.parse().map_err(|error| {
            let file = own.file.as_deref().unwrap_or(Path::new("config.toml"));
            CommandError::new(format!(
                "`{}`: the mirror `{text}` of `image.mirrors` is no valid URL: {error}",
                file.display()
            ))
        })
    });
    let mut registries = Access::of_host(Some(&session.directories.home), |name| {
        std::env::var_os(name)
    });
    registries.tls_verify = args.tls_verify.or(args.insecure.then_some(false));
    Ok(ImageRequest {
        reference,
        provider,
        checksum: args.checksum,
        insecure: args.insecure,
        lock: args.image_lock.clone(),
        sources: ImageSources {
            registries,
            mirrors: mirrors.collect::<Result<_, _>>()?,
            keys: session.directories.config_file.with_file_name("keys"),
        },
    })
}

/// The image that the command line names, else the configured one, else what is built in for the provider.
pub(super) fn reference(
    flag: Option<&OsStr>,
    settings: &Settings,
    provider: ProviderKind,
) -> Result<Reference, CommandError> {
    let configured = settings.image.as_ref().map(|image| &image.value);
    let Some(text) = flag.or(configured.map(OsStr::new)) else {
        return Ok(image::default_reference(provider)?);
    };
    Reference::parse(text).map_err(|error| {
        let blame = settings.blame_image(&text.to_string_lossy());
        CommandError::from(error).with_hints(blame)
    })
}

fn list(args: &ImageListArgs, session: &Session<'_>) -> Result<(), CommandError> {
    let images = images::list(&cache(session), &session.store)?;
    let text = render(args, &images, Timestamp::now())?;
    session.printer.stdout(&text);
    Ok(())
}

fn render(
    args: &ImageListArgs,
    images: &[ListedImage],
    now: Timestamp,
) -> Result<String, CommandError> {
    if args.quiet {
        return Ok(lines(images.iter().map(|image| image.id.clone())));
    }
    let report = match args.format.as_deref() {
        None | Some("") => Report::columns(TEMPLATE, &COLUMNS)?,
        Some(format) if format::is_json(format) => {
            return Ok(json::list(&image_report::json(images))?);
        }
        Some(format) => Report::user(TEMPLATE, format)?,
    };
    let headers = format::headers(&image_report::FIELDS, &[("Machines", "used by")]);
    Ok(report.render(Some(&headers), &image_report::rows(images, now))?)
}

async fn pull(args: &PullArgs, session: &Session<'_>) -> Result<(), CommandError> {
    let printer = session.printer;
    let settings = settings(args, session)?;
    let provider = settings.provider(&host::providers())?;
    let reference = reference(args.words.first().map(|word| &**word), &settings, provider)?;
    if matches!(reference, Reference::File(_)) {
        let error = CommandError::new(format!(
            "image `{reference}` is a file of this host already"
        ));
        return Err(error.with_hint(format!("use it with `machine init --image {reference}`")));
    }
    let request = request(reference, provider, &args.fetch, session)?;
    let reporter = Reporter {
        bar: ImageBar::new(printer, &session.interrupt, args.fetch.progress),
    };
    let cache = cache(session);
    let work = image::obtain(&cache, &request, &reporter);
    let image = session.interrupt.guard(work).await?;
    drop(reporter);
    let checksum = image
        .cached
        .map_or_else(String::new, |checksum| checksum.to_string());
    if args.quiet {
        printer.stdout(&format!("{checksum}\n"));
        return Ok(());
    }
    let how = if image.was_there {
        "is there already"
    } else {
        "was fetched"
    };
    printer.stdout(&format!("{} {how}\n{checksum}\n", image.name));
    Ok(())
}

/// What a new machine would be like.
fn settings(args: &PullArgs, session: &Session<'_>) -> Result<Settings, CommandError> {
    let mut layers = vec![Layer {
        origin: Origin::Flag,
        wishes: Wishes {
            provider: args.provider.clone(),
            ..Wishes::default()
        },
    }];
    layers.extend(session.hostconf.layers(&|name| std::env::var_os(name))?);
    Ok(Settings::resolve(&layers))
}

fn remove(args: &ImageRmArgs, session: &Session<'_>) -> Result<(), CommandError> {
    let removed = images::remove(&cache(session), &session.store, &args.words, args.force)?;
    session.printer.stdout(&removal(&removed));
    Ok(())
}

/// What was removed, as podman's `image prune` says it.
fn removal(removed: &Removed) -> String {
    let images = removed.images.iter();
    let images = images.map(|image| format!("{} {}", image.id, image.name));
    let downloads = match removed.downloads {
        0 => None,
        1 => Some("1 unfinished download".to_owned()),
        count => Some(format!("{count} unfinished downloads")),
    };
    let space = format!("Total reclaimed space: {}", units::bytes(removed.bytes));
    lines(images.chain(downloads).chain([space]))
}

fn lines(lines: impl Iterator<Item = String>) -> String {
    lines.flat_map(|line| [line, "\n".to_owned()]).collect()
}

struct Reporter {
    bar: ImageBar,
}

impl FetchReporter for Reporter {
    fn progress(&self, progress: FetchProgress) {
        self.bar.fetch(progress);
    }

    fn stopped(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.bar.cancelled())
    }
}

impl ImageReporter for Reporter {
    fn notice(&self, text: &str) {
        self.bar.warn(text);
    }

    fn done(&self, text: &str) {
        self.bar.tell(text);
    }
}

#[cfg(test)]
mod tests;
