//! The `machine` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    machine::cli::run(std::env::args_os())
}
