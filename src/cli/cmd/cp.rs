//! `machine cp`.

use std::ffi::OsStr;
use std::process::Stdio;

use super::Session;
use crate::cli::args::cp::CpArgs;
use crate::cli::error::{CommandError, FAILURE};
use crate::cli::{takeover, texts};
use crate::ops::{adopt, cp};

pub(super) async fn run(args: &CpArgs, session: &Session<'_>) -> Result<(), CommandError> {
    // The grammar lets exactly two through.
    let path = |at: usize| args.paths.get(at).map_or(OsStr::new(""), |path| path);
    let invocation = cp::copy(
        &session.store,
        path(0),
        path(1),
        adopt::probe(&session.store),
    )?;
    let mut command = tokio::process::Command::from(invocation.command());
    command.stdin(Stdio::null());
    if args.quiet {
        command.stdout(Stdio::null());
    }
    // The terminal's Ctrl-C reaches `scp` as well, which then ends.
    let status = session.interrupt.guard(command.status()).await;
    let status = status
        .map_err(|error| takeover::unusable(invocation.program, &error).with_code(FAILURE))?;
    if !status.success() {
        return Err(CommandError::new(match status.code() {
            Some(code) => format!("copy failed: exit status {code}"),
            None => format!("copy failed: {status}"),
        }));
    }
    session.printer.stdout(texts::COPIED);
    Ok(())
}
