//! `--report` of `doctor` and `selftest`.

use std::fmt::Write as _;
use std::path::Path;

use super::{Session, info};
use crate::cli::error::CommandError;
use crate::cli::output::doctor_report;
use crate::machine::MachineName;
use crate::ops::doctor::{self, Finding, Premises};
use crate::ops::report::{self, Document, Report};

/// Begins a report on these machines, with what `info` says of the host.
pub(super) async fn gather(
    premises: &Premises,
    machines: &[MachineName],
) -> Result<Report, CommandError> {
    let mut made = report::gather(premises, machines).await?;
    let host = {
        let premises = premises.clone();
        doctor::bounded(move || info::host(&premises).map(|host| host.to_value())).await
    };
    match host {
        Some(Ok(host)) => {
            let host = serde_json::to_value(host)?;
            made.add("host.json", Document::Json(host));
        }
        Some(Err(error)) => {
            let error = anstream::adapter::strip_str(&error.render()).to_string();
            made.note(format!("host.json: {}", error.trim_end()));
        }
        None => made.note("host.json: the files of the host did not answer"),
    }
    Ok(made)
}

/// Adds what the doctor found, for people and for programs.
pub(super) fn add_findings(made: &mut Report, findings: &[Finding]) -> Result<(), CommandError> {
    let text = doctor_report::text(findings);
    let text = anstream::adapter::strip_str(&text).to_string();
    made.add("doctor.txt", Document::Text(text));
    let value = serde_json::to_value(doctor_report::json(findings))?;
    made.add("doctor.json", Document::Json(value));
    Ok(())
}

/// Writes the report, to its usual place where the file has no name, and says what is in it: on standard error where
/// standard output is for programs.
pub(super) fn write(
    made: &Report,
    file: &Path,
    for_programs: bool,
    session: &Session<'_>,
) -> Result<(), CommandError> {
    let path = if file.as_os_str().is_empty() {
        made.default_path()
    } else {
        file.to_owned()
    };
    let written = made.write(&path)?;
    let mut text = format!("\nReport: {}, {} bytes\n", path.display(), written.bytes);
    for (path, bytes) in &written.contents {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{bytes:>9}  {path}");
    }
    text.push_str("Passwords and keys were taken out; look through it before you give it away.\n");
    if for_programs {
        session.printer.stderr(&text);
    } else {
        session.printer.stdout(&text);
    }
    Ok(())
}
