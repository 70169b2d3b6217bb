//! Orders to a manager of services, by a program of the system's.

use std::ffi::OsString;
use std::io;
use std::process::Stdio;

use tokio::process::Command;

use crate::machine::deadlines;
use crate::service::ServiceError;

/// Runs a program of a manager of services; what it printed.
pub(in crate::service) async fn run(
    program: &'static str,
    arguments: &[OsString],
) -> Result<String, ServiceError> {
    let failed = |source| ServiceError::Run { program, source };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let limit = deadlines::SERVICE.limit;
    let output = tokio::time::timeout(limit, command.output()).await;
    let output = output.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let output = output.map_err(failed)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let reason = String::from_utf8_lossy(&output.stderr);
    Err(ServiceError::Refused {
        program,
        reason: reason.trim().replace('\n', "; "),
    })
}
