//! How QEMU ended, told from its status and from what it wrote last.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use fs_err as fs;

use crate::provider::qemu::platform;
use crate::provider::{ExitReason, LaunchPlan, ProviderError};

/// The lines that are kept.
const LINES: usize = 10;
/// The bytes at the end of the log that are looked at.
const TAIL: u64 = 8 * 1024;

/// How a process ended whose log of this run begins at `start`.
pub(super) fn reason(
    status: Option<ExitStatus>,
    shutdown: Option<&str>,
    log: &Path,
    start: u64,
) -> ExitReason {
    ExitReason {
        code: status.and_then(|status| status.code()),
        signal: status.and_then(platform::signal),
        shutdown: shutdown.map(ToOwned::to_owned),
        last_lines: last_lines(log, start),
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

/// Why a launch failed whose process ended before it could be controlled.
pub(super) fn early(program: &Path, plan: &LaunchPlan, reason: ExitReason) -> ProviderError {
    match locked_disk(plan, &reason.last_lines) {
        Some(disk) => ProviderError::DiskInUse { disk, reason },
        None => ProviderError::EndedAtOnce {
            program: program.to_owned(),
            reason,
        },
    }
}

/// QEMU locks its disks; it says so by `Failed to get "write" lock` and, in a line of its own, `Is another process using
/// the image [PATH]?`.
fn locked_disk(plan: &LaunchPlan, lines: &[String]) -> Option<PathBuf> {
    if !lines
        .iter()
        .any(|line| line.contains("Failed to get") && line.contains("lock"))
    {
        return None;
    }
    let other = plan.seed.iter().chain(&plan.data_disk).find(|disk| {
        let name = disk.display().to_string();
        lines.iter().any(|line| line.contains(&format!("[{name}]")))
    });
    Some(other.unwrap_or(&plan.os_disk).clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_that_somebody_has_is_named() {
        let mut plan = crate::provider::plan::testing::plan(Path::new("/m"));
        plan.data_disk = Some("/d/data.raw".into());
        let locked = |disk: &str| {
            let lines = [
                r#"qemu: -device virtio-blk-pci: Failed to get "write" lock"#.to_owned(),
                format!("Is another process using the image [{disk}]?"),
            ];
            locked_disk(&plan, &lines)
        };
        for disk in ["/m/disk.qcow2", "/m/seed.img", "/d/data.raw"] {
            assert_eq!(locked(disk), Some(disk.into()));
        }
        assert_eq!(locked_disk(&plan, &["something else".to_owned()]), None);
    }

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
