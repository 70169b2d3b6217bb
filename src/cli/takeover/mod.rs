//! Another program in our place: it gets the terminal, the signals and the last word.

#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod system;

use std::io;
use std::process::Command;

use super::error::{CommandError, NOT_EXECUTABLE, NOT_FOUND};
use super::interrupt::Interrupt;

/// Lets `command` take over, and gives its exit code where it comes back at all.
pub async fn by(command: Command, interrupt: &Interrupt) -> Result<u8, CommandError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let result = system::run(command, interrupt).await;
    result.map_err(|error| unusable(&program, &error))
}

/// The error for a program of OpenSSH that cannot be run, with the exit code that shells have for it.
pub fn unusable(program: &str, error: &io::Error) -> CommandError {
    match error.kind() {
        io::ErrorKind::NotFound => CommandError::new(format!(
            "exec: \"{program}\": executable file not found in $PATH"
        ))
        .with_code(NOT_FOUND)
        .with_hint("install the OpenSSH client"),
        io::ErrorKind::PermissionDenied => {
            CommandError::caused_by(format!("exec: \"{program}\": permission denied"), error)
                .with_code(NOT_EXECUTABLE)
        }
        _ => CommandError::caused_by(format!("exec: \"{program}\" cannot be run"), error)
            .with_code(NOT_EXECUTABLE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_that_is_not_there_has_the_code_of_shells() {
        let command = Command::new("there-is-no-such-program");
        let error = by(command, &Interrupt::default()).await;
        let error = error.expect_err("it is not there");
        assert_eq!(error.code(), NOT_FOUND);
        assert!(
            error
                .render()
                .contains("executable file not found in $PATH")
        );
        let refused = unusable("ssh", &io::ErrorKind::PermissionDenied.into());
        assert_eq!(refused.code(), NOT_EXECUTABLE);
    }
}
