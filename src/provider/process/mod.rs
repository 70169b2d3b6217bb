//! The VM as a process of this host: its log, its start, and how it ended.

#[cfg(unix)]
#[path = "unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "windows.rs"]
mod platform;

use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use fs_err as fs;
use machine_host::access;
use machine_host::process::{ProcessIdentity, spawn_detached, spawn_detached_reading};

use crate::provider::{ExitReason, ProviderError, launching};

pub(super) use platform::signal;

/// A log that has become longer is begun anew by the next launch.
const LOG_LIMIT: u64 = 1024 * 1024;
/// The lines that are kept.
const LINES: usize = 10;
/// The bytes at the end of the log that are looked at.
const TAIL: u64 = 8 * 1024;

/// What the status and the log say of the end of a process whose log of this run begins at `start`.
pub(super) fn exit_reason(status: Option<ExitStatus>, log: &Path, start: u64) -> ExitReason {
    ExitReason {
        code: status.and_then(|status| status.code()),
        signal: status.and_then(signal),
        last_lines: last_lines(log, start),
        ..ExitReason::default()
    }
}

/// The last lines of a file, beginning not before `start`. A file that cannot be read has none.
pub(super) fn last_lines(path: &Path, start: u64) -> Vec<String> {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = fs::File::open(path)?;
        let length = file.metadata()?.len();
        // A log that has become shorter was begun anew.
        let start = if start > length { 0 } else { start };
        file.seek(SeekFrom::Start(start.max(length.saturating_sub(TAIL))))?;
        let mut bytes = Vec::new();
        file.take(TAIL).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    tidy(&read().unwrap_or_default())
}

/// The last lines as text that may be shown in a terminal.
pub(super) fn tidy(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<String> = text
        .lines()
        .map(|line| line.chars().filter(|c| !c.is_control()).collect::<String>())
        .map(|line| line.trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect();
    lines[lines.len().saturating_sub(LINES)..].to_vec()
}

/// The log, and where this run's part of it begins.
pub(super) fn open_log(path: &Path) -> Result<(fs::File, u64), ProviderError> {
    open(path).map_err(|source| ProviderError::Log {
        path: path.to_owned(),
        source,
    })
}

fn open(path: &Path) -> io::Result<(fs::File, u64)> {
    let file = fs::File::from_parts(access::open_to_append(path)?, path);
    if file.metadata()?.len() > LOG_LIMIT {
        file.set_len(0)?;
    }
    let length = file.metadata()?.len();
    Ok((file, length))
}

/// A process that ends with this value, unless it is released.
#[derive(Debug)]
pub(super) struct NewProcess {
    /// The process; none when it ended at once.
    pub(super) identity: Option<ProcessIdentity>,
    child: Option<Child>,
}

impl NewProcess {
    /// Starts the command in a session of its own, and notes it; what it prints goes to `log`.
    pub(super) fn start(
        mut command: Command,
        log: fs::File,
        note: &Path,
    ) -> Result<Self, ProviderError> {
        let program = PathBuf::from(command.get_program());
        let failed = |source| ProviderError::Spawn {
            program: program.clone(),
            source,
        };
        let log = log.into_parts().0;
        command.stdout(log.try_clone().map_err(failed)?).stderr(log);
        Self::spawn(command, None, note)
    }

    /// The same, with `input` to read; what it says to its standard output is for the caller, who reads the beginning of it.
    pub(super) fn start_speaking(
        mut command: Command,
        input: std::fs::File,
        log: fs::File,
        note: &Path,
    ) -> Result<(Self, Option<ChildStdout>), ProviderError> {
        command.stdout(Stdio::piped()).stderr(log.into_parts().0);
        let mut process = Self::spawn(command, Some(input), note)?;
        let said = process.child.as_mut().and_then(|child| child.stdout.take());
        Ok((process, said))
    }

    fn spawn(
        mut command: Command,
        input: Option<std::fs::File>,
        note: &Path,
    ) -> Result<Self, ProviderError> {
        let program = PathBuf::from(command.get_program());
        let failed = |source| ProviderError::Spawn {
            program: program.clone(),
            source,
        };
        let child = match input {
            Some(input) => spawn_detached_reading(&mut command, input),
            None => spawn_detached(&mut command),
        };
        let child = child.map_err(failed)?;
        // With the command our copies of what is inherited go, so that the end of the VM is the end of its sockets.
        drop(command);
        let identity = ProcessIdentity::of(child.id()).map_err(failed)?;
        if let Some(identity) = &identity {
            launching::note(note, identity);
        }
        Ok(Self {
            identity,
            child: Some(child),
        })
    }

    /// How it ended. Called when it has.
    pub(super) fn wait(&mut self) -> Option<std::process::ExitStatus> {
        self.child.take().and_then(|mut child| child.wait().ok())
    }

    /// Lets it live on.
    pub(super) fn release(mut self) -> Option<Child> {
        self.child.take()
    }
}

impl Drop for NewProcess {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child
            && let Err(error) = child.kill().and_then(|()| child.wait())
        {
            tracing::warn!(%error, "A virtual machine that failed to start could not be ended");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_printable_lines_of_this_run_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("vm.log");
        fs::write(&path, "of before\nqemu: \u{1b}[31mred\n\nlast").unwrap();
        assert_eq!(last_lines(&path, 10), ["qemu: [31mred", "last"]);
        assert_eq!(
            last_lines(&path, 1000).len(),
            3,
            "a shortened log is read whole"
        );
        let many: Vec<String> = (0..5000).map(|number| format!("line {number}")).collect();
        let many = many.join("\n");
        fs::write(&path, many).unwrap();
        let lines = last_lines(&path, 0);
        assert_eq!(lines.len(), LINES);
        assert_eq!(lines.last().unwrap(), "line 4999");
        assert!(last_lines(&directory.path().join("missing"), 0).is_empty());
    }
}
