//! Commands with a deadline, and those of the stage's programs.

use std::path::Path;
use std::process::Command;

use super::stage::Stage;
pub(crate) use crate::common::command::{Finished, Running, begin, eventually, run};

/// A command with a clean environment and the stage's programs first in its path.
pub(crate) fn clean(program: &Path, home: &Path) -> Command {
    let mut command = Command::new(program);
    let bin = Stage::get().bin();
    command
        .env_clear()
        .env("HOME", home)
        .env(
            "PATH",
            format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", bin.display()),
        )
        .env("LC_ALL", "C.UTF-8");
    command
}
