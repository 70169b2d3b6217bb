//! How QEMU ended, told from its status and from what it wrote last.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use crate::provider::process::exit_reason;
use crate::provider::{ExitReason, LaunchPlan, ProviderError};

/// The causes of an end at the guest's or our own wish.
const ORDERLY: [&str; 3] = ["guest-shutdown", "host-qmp-quit", "host-signal"];

/// How a process ended whose log of this run begins at `start`.
pub(super) fn reason(
    status: Option<ExitStatus>,
    shutdown: Option<&str>,
    log: &Path,
    start: u64,
) -> ExitReason {
    ExitReason {
        wished: shutdown.is_some_and(|shutdown| ORDERLY.contains(&shutdown)),
        shutdown: shutdown.map(ToOwned::to_owned),
        ..exit_reason(status, log, start)
    }
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
}
