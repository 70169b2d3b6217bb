//! `machine image export` and `machine image import`.

use std::path::{Path, PathBuf};

use machine_images::Reporter;

use super::cache;
use crate::cli::args::image::{ExportArgs, ImportArgs, ProgressForm};
use crate::cli::cmd::Session;
use crate::cli::error::CommandError;
use crate::cli::image_bar::ImageBar;
use crate::cli::output::units;
use crate::ops::bundle;

pub(super) async fn export(args: &ExportArgs, session: &Session<'_>) -> Result<(), CommandError> {
    let printer = session.printer;
    // The grammar has answered another number of words already.
    let [image, file] = args.words.as_slice() else {
        return Ok(());
    };
    let (image, file) = (image.to_string_lossy(), Path::new(file));
    let reporter = Copying::new(session);
    let cache = cache(session);
    let work = bundle::export(&cache, &session.store, &image, file, args.force, &reporter);
    let (image, exported) = session.interrupt.guard(work).await?;
    drop(reporter);
    if args.quiet {
        printer.stdout(&format!("{}\n", exported.checksum));
        return Ok(());
    }
    printer.stdout(&format!(
        "{} was written to {} ({})\n{}\n",
        image.name,
        file.display(),
        units::bytes(exported.bytes),
        exported.checksum
    ));
    Ok(())
}

pub(super) async fn import(args: &ImportArgs, session: &Session<'_>) -> Result<(), CommandError> {
    let printer = session.printer;
    let [file] = args.words.as_slice() else {
        return Ok(());
    };
    let reporter = Copying::new(session);
    let cache = cache(session);
    let work = bundle::import(&cache, PathBuf::from(file), args.checksum, &reporter);
    let image = session.interrupt.guard(work).await?;
    if let Some(notice) = &image.notice {
        reporter.0.warn(notice);
    }
    drop(reporter);
    if args.quiet {
        printer.stdout(&format!("{}\n", image.checksum));
        return Ok(());
    }
    printer.stdout(&format!(
        "{} was imported\n{}\n",
        image.name, image.checksum
    ));
    Ok(())
}

struct Copying(ImageBar);

impl Copying {
    fn new(session: &Session<'_>) -> Self {
        Self(ImageBar::new(
            session.printer,
            &session.interrupt,
            ProgressForm::Auto,
        ))
    }
}

impl Reporter for Copying {
    fn copying(&self, done: u64, total: u64) {
        self.0.copy(done, total);
    }

    fn cancelled(&self) -> bool {
        self.0.is_cancelled()
    }
}
