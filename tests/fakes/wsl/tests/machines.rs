//! Whole lives of machines through the command line: what every provider passes, and what is its own, with the stand-in of WSL.
#![cfg_attr(
    target_os = "linux",
    expect(
        clippy::expect_used,
        clippy::panic,
        clippy::unwrap_used,
        reason = "a test says by a panic what is wrong; this is one, though it brings its own main"
    )
)]

#[cfg(target_os = "linux")]
#[path = "../../built.rs"]
mod built;
#[cfg(target_os = "linux")]
#[path = "../../../support/mod.rs"]
mod common;
#[cfg(target_os = "linux")]
#[path = "../../../contract/mod.rs"]
mod contract;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
#[path = "it/support/mod.rs"]
mod support;

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    ExitCode::SUCCESS
}
