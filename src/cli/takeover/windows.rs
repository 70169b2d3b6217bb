//! A process cannot become another program here: it waits for the other one, and lets it have Ctrl-C.

use std::io;
use std::process::Command;

use crate::cli::interrupt::Interrupt;

/// The program's exit code; one that does not fit into what a process of Unix can say is cut to 255.
pub(super) async fn run(command: Command, interrupt: &Interrupt) -> io::Result<u8> {
    let mut command = tokio::process::Command::from(command);
    let status = interrupt.guard(command.status()).await?;
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(u8::MAX))
}
