//! `machine image verify`.

use super::{cache, lines};
use machine_images::{Reporter, Verdict};

use crate::cli::args::image::{ProgressForm, VerifyArgs};
use crate::cli::cmd::Session;
use crate::cli::error::CommandError;
use crate::cli::image_bar::ImageBar;
use crate::cli::output::format::{self, Report};
use crate::cli::output::{image_report, json};
use crate::ops::images::{self, VerifiedImage, Which};

/// What templates and their errors are called.
const TEMPLATE: &str = "verify";

pub(super) async fn run(args: &VerifyArgs, session: &Session<'_>) -> Result<(), CommandError> {
    let printer = session.printer;
    let format = args.format.as_deref().filter(|format| !format.is_empty());
    // A template that cannot be is told before the work.
    let report = match format {
        Some(format) if !format::is_json(format) => Some(Report::user(TEMPLATE, format)?),
        _ => None,
    };
    let which = if args.all {
        Which::All
    } else {
        Which::Named(&args.words)
    };
    let reporter = Reading(ImageBar::new(
        printer,
        &session.interrupt,
        ProgressForm::Auto,
    ));
    let cache = cache(session);
    let found = |image: &VerifiedImage| {
        if format.is_none() {
            reporter.0.above(|| printer.stdout(&line(image)));
        }
    };
    let work = images::verify(&cache, &session.store, which, &reporter, found);
    let verified = session.interrupt.guard(work).await?;
    drop(reporter);
    match (&report, format) {
        (Some(report), _) => {
            let headers = format::headers(&image_report::VERIFY_FIELDS, &[]);
            let rows = image_report::verify_rows(&verified);
            printer.stdout(&report.render(Some(&headers), &rows)?);
        }
        (None, Some(_)) => printer.stdout(&json::list(&image_report::verify_json(&verified))?),
        (None, None) => {}
    }
    complaint(&verified).map_or(Ok(()), Err)
}

struct Reading(ImageBar);

impl Reporter for Reading {
    fn copying(&self, done: u64, total: u64) {
        self.0.verify(done, total);
    }

    fn cancelled(&self) -> bool {
        self.0.is_cancelled()
    }
}

/// An image in a line: its ID, what was found, its name.
fn line(verified: &VerifiedImage) -> String {
    let image = &verified.image;
    let state = image_report::state(&verified.verdict);
    lines([format!("{} {state} {}", image.id, image.name)].into_iter())
}

/// The error where an image is damaged.
fn complaint(verified: &[VerifiedImage]) -> Option<CommandError> {
    let is_damaged = |image: &&VerifiedImage| matches!(image.verdict, Verdict::Damaged(_));
    let damaged: Vec<_> = verified.iter().filter(is_damaged).collect();
    let text = match damaged.as_slice() {
        [] => return None,
        [one] => format!("image `{}` is damaged", one.image.name),
        several => format!("{} images are damaged", several.len()),
    };
    let detail = damaged
        .iter()
        .map(|one| format!("{}: {}", one.image.id, image_report::reason(&one.verdict)));
    let hints = images::repairs(damaged.iter().map(|one| &one.image));
    Some(
        CommandError::new(text)
            .with_detail(detail)
            .with_hints(hints),
    )
}

#[cfg(test)]
mod tests {
    use machine_images::{Checksum, Damage};

    use super::super::tests::images;
    use super::*;

    fn verified(verdict: Verdict) -> VerifiedImage {
        let [image] = <[_; 1]>::try_from(images()).expect("one");
        VerifiedImage { image, verdict }
    }

    fn damaged() -> VerifiedImage {
        verified(Verdict::Damaged(Damage::Changed {
            path: "/i/disk.raw".into(),
            expected: Checksum::of_bytes(b"a"),
            found: Checksum::of_bytes(b"b"),
        }))
    }

    #[test]
    fn a_line_for_each_and_an_error_for_the_damaged() {
        let name = "Fedora CoreOS stable 44.20261101.3.0";
        for (image, state) in [
            (verified(Verdict::Good), "ok"),
            (verified(Verdict::Unknown), "unknown"),
            (damaged(), "damaged"),
        ] {
            assert_eq!(line(&image), format!("6606273ddce1 {state} {name}\n"));
            assert_eq!(complaint(&[image]).is_some(), state == "damaged");
        }
        let error = complaint(&[verified(Verdict::Good), damaged()]).expect("one is damaged");
        assert_eq!(error.code(), crate::cli::error::FAILURE);
        let text = anstream::adapter::strip_str(&error.render()).to_string();
        assert_eq!(
            text,
            format!(
                "Error: image `{name}` is damaged\n  \
                 6606273ddce1: its disk `/i/disk.raw` was {} and is {}\n\
                 hint: get it again: `machine image rm --force 6606273ddce1`, then `machine image pull`, or `machine init` with the same image\n\
                 hint: the disks of vm lie over this file and have its damage: save what is needed of them, and make them anew\n",
                Checksum::of_bytes(b"a"),
                Checksum::of_bytes(b"b"),
            )
        );
    }

    #[test]
    fn json() {
        let images = [damaged()];
        let text = json::list(&image_report::verify_json(&images)).expect("JSON");
        let parsed: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(parsed[0]["ID"], "6606273ddce1");
        assert_eq!(parsed[0]["State"], "damaged");
        assert_eq!(parsed[0]["Machines"], serde_json::json!(["vm"]));
    }
}
