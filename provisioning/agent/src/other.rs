//! Stands in on systems that are never a guest, so that the workspace compiles there.

use std::io::Write;
use std::process::ExitCode;

pub(crate) fn main() -> ExitCode {
    let _ = writeln!(std::io::stderr(), "The agent runs in Linux guests only");
    ExitCode::FAILURE
}
