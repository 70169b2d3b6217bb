//! Starts a distribution, or takes over one that runs.

use std::path::Path;

use fs_err as fs;
use machine_host::process::ProcessIdentity;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::ChildStdout;

use super::distro::Distro;
use super::error::WslError;
use super::run::Wsl;
use super::vm::{Parts, WslVm};
use super::{answer, argv};
use crate::machine::deadlines;
use crate::provider::process::{NewProcess, exit_reason, open_log};
use crate::provider::{LaunchPlan, ProviderError, Resolved, VmEvents, VmPaths};

/// What the keeper says when the agent is started.
const UP: &str = "up";

/// Starts the machine's distribution, which is imported where it is not there.
pub(super) async fn launch(
    plan: &LaunchPlan,
    resolved: &Resolved,
    events: VmEvents,
) -> Result<WslVm, ProviderError> {
    let paths = &plan.paths;
    let wsl = Wsl::new(&resolved.program, &[]);
    let distro = Distro::of(&paths.own_directory, &plan.name)?;
    distro.ensure(&wsl, &plan.os_disk).await?;
    // A shell of the user's may have kept it, with the agent of before.
    if wsl.is_running(&distro.name).await? {
        wsl.terminate(&distro.name).await?;
    }
    let (log, log_start) = open_log(&paths.vm_log)?;
    let command = wsl.command(&argv::keep(&distro.name));
    let seed = open(plan.seed.as_deref().unwrap_or(Path::new("")))?;
    let undo = Undo::new(&wsl, &distro.name);
    let (mut process, said) = NewProcess::start_speaking(command, seed, log, &paths.launch_note)?;
    let failed = |said: &str, status| {
        let reason = exit_reason(status, &paths.vm_log, log_start);
        // Versions differ in where they write their errors.
        let said = format!("{said}\n{}", reason.last_lines.join("\n"));
        let program = resolved.program.clone();
        match answer::known_failure(&distro.name, &said) {
            Some(error) => error.into(),
            None => ProviderError::EndedAtOnce { program, reason },
        }
    };
    let up = async {
        match said {
            Some(said) => first_words(said).await,
            None => String::new(),
        }
    };
    let limit = deadlines::WSL_UP.limit;
    let said = tokio::time::timeout(limit, up).await;
    let Some(identity) = process.identity.clone() else {
        return Err(failed(&said.unwrap_or_default(), process.wait()));
    };
    match said {
        Ok(said) if said.trim() == UP => {}
        // It has closed its output, so it ends.
        Ok(said) => {
            let ended = tokio::time::timeout(deadlines::KILLED.limit, identity.ended()).await;
            return Err(failed(&said, ended.ok().and_then(|()| process.wait())));
        }
        Err(_) => {
            return Err(WslError::Silent {
                call: argv::keep(&distro.name).name.to_owned(),
                seconds: limit.as_secs(),
            }
            .into());
        }
    }
    undo.disarm();
    Ok(WslVm::new(
        Parts {
            wsl,
            distro: distro.name,
            identity,
            child: process.release(),
            log: paths.vm_log.clone(),
            log_start,
        },
        events,
    ))
}

/// Takes over a distribution that is kept alive by this process.
pub(super) async fn attach(
    paths: &VmPaths,
    identity: &ProcessIdentity,
    events: VmEvents,
) -> Result<WslVm, ProviderError> {
    let gone = || ProviderError::Gone { pid: identity.pid };
    let (distro, program) = Distro::noted(&paths.own_directory)?.ok_or_else(gone)?;
    let wsl = Wsl::new(&program, &[]);
    if !identity.is_alive() || !wsl.is_running(&distro.name).await? {
        return Err(gone());
    }
    let parts = Parts {
        wsl,
        distro: distro.name,
        identity: identity.clone(),
        child: None,
        log: paths.vm_log.clone(),
        log_start: 0,
    };
    Ok(WslVm::new(parts, events))
}

fn open(seed: &Path) -> Result<std::fs::File, ProviderError> {
    let file = fs::File::open(seed).map_err(|source| ProviderError::Spawn {
        program: seed.to_owned(),
        source,
    })?;
    Ok(file.into_parts().0)
}

/// The first line, or all that was said where that is not the keeper's: WSL's own words, where it could not start.
async fn first_words(said: std::process::ChildStdout) -> String {
    const MOST: u64 = 4096;
    let Ok(said) = ChildStdout::from_std(said) else {
        return String::new();
    };
    let mut words = Vec::new();
    let mut said = BufReader::new(said.take(MOST));
    // One that breaks has said what it said.
    let _ = said.read_until(b'\n', &mut words).await;
    if answer::decode(&words).trim() != UP {
        let _ = said.read_to_end(&mut words).await;
    }
    answer::decode(&words)
}

/// Ends the distribution with this value: the end of the keeper's process does not end what it began.
struct Undo(Option<std::process::Command>);

impl Undo {
    fn new(wsl: &Wsl, distro: &str) -> Self {
        let mut command = wsl.command(&argv::terminate(distro));
        let nothing = std::process::Stdio::null;
        command.stdin(nothing()).stdout(nothing()).stderr(nothing());
        Self(Some(command))
    }

    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        let Some(mut command) = self.0.take() else {
            return;
        };
        match command.spawn() {
            // Nobody waits here, and it has to be waited for.
            Ok(mut child) => drop(std::thread::spawn(move || child.wait())),
            Err(error) => tracing::warn!(%error, "A distribution that failed to start may run on"),
        }
    }
}
