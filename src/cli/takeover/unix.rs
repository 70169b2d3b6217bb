//! The other program replaces this one in its process.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use crate::cli::interrupt::Interrupt;

/// Returns only where the program cannot be run.
#[expect(clippy::unused_async, reason = "one signature on every host")]
pub(super) async fn run(mut command: Command, _interrupt: &Interrupt) -> io::Result<u8> {
    Err(command.exec())
}
