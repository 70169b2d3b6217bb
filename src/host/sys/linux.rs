//! Linux: processes by /proc and pidfd.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::unix::readable;
use crate::process::ProcessIdentity;

/// How often a process is looked at where the kernel gives no descriptor for it.
const LOOK_EVERY: Duration = Duration::from_millis(500);

pub(crate) fn memory_bytes() -> u64 {
    let found = rustix::system::sysinfo();
    // The types differ between architectures.
    #[allow(clippy::useless_conversion, reason = "c_ulong is 32 bits wide on some")]
    u64::from(found.totalram).saturating_mul(u64::from(found.mem_unit))
}

pub(crate) fn boot_id() -> Option<String> {
    fs_err::read_to_string("/proc/sys/kernel/random/boot_id")
        .ok()
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty())
        .or_else(|| boot_time(&fs_err::read_to_string("/proc/stat").ok()?))
}

fn boot_time(stat: &str) -> Option<String> {
    let seconds = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    Some(format!("btime-{}", seconds.trim()))
}

/// The start of a process in clock ticks since the boot.
pub(crate) fn process_start(pid: u32) -> io::Result<Option<u64>> {
    match fs_err::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => parse_start(&stat),
        // ESRCH: it ended between opening and reading.
        Err(error)
            if error.kind() == io::ErrorKind::NotFound
                || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// `None`: ended, waiting to be reaped.
fn parse_start(stat: &str) -> io::Result<Option<u64>> {
    let parsed = || {
        // The second field is the program's name in parentheses and may itself hold any character.
        let (_, fields) = stat.rsplit_once(')')?;
        let mut fields = fields.split_ascii_whitespace();
        let state = fields.next()?;
        // State is field 3, the start field 22.
        let start: u64 = fields.nth(22 - 3 - 1)?.parse().ok()?;
        Some((state, start))
    };
    match parsed() {
        Some(("Z" | "X" | "x", _)) => Ok(None),
        Some((_, start)) => Ok(Some(start)),
        None => {
            let text = format!("Process status is not understood: `{stat}`");
            Err(io::Error::new(io::ErrorKind::InvalidData, text))
        }
    }
}

/// A descriptor of exactly this process; `None` when it is gone.
fn open(identity: &ProcessIdentity) -> io::Result<Option<OwnedFd>> {
    let Some(pid) = i32::try_from(identity.pid).ok().and_then(Pid::from_raw) else {
        return Ok(None);
    };
    let descriptor = match pidfd_open(pid, PidfdFlags::NONBLOCK) {
        Ok(descriptor) => descriptor,
        Err(rustix::io::Errno::SRCH) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    // Compared after opening: from here on the number cannot come to mean another process unseen.
    Ok(identity.is_alive().then_some(descriptor))
}

fn signal(identity: &ProcessIdentity, signal: Signal) -> io::Result<()> {
    match open(identity)?.map(|descriptor| pidfd_send_signal(descriptor, signal)) {
        None | Some(Ok(()) | Err(rustix::io::Errno::SRCH)) => Ok(()),
        Some(Err(error)) => Err(error.into()),
    }
}

pub(crate) fn kill(identity: &ProcessIdentity) -> io::Result<()> {
    signal(identity, Signal::KILL)
}

pub(crate) fn terminate(identity: &ProcessIdentity) -> io::Result<()> {
    signal(identity, Signal::TERM)
}

pub(crate) async fn ended(identity: &ProcessIdentity) {
    // Readable means ended.
    if let Ok(Some(descriptor)) = open(identity)
        && readable(descriptor).await.is_ok()
    {
        return;
    }
    // Gone already, out of descriptors, or a sandbox without pidfd: looking is all that is left.
    let mut looks = tokio::time::interval(LOOK_EVERY);
    while identity.is_alive() {
        looks.tick().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_is_found_behind_any_name() {
        let tail = "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20 21";
        for name in ["sh", "a b", ") R 1 (", ""] {
            assert_eq!(
                parse_start(&format!("7 ({name}) S {tail}")).unwrap(),
                Some(4242),
                "{name}"
            );
            assert_eq!(
                parse_start(&format!("7 ({name}) Z {tail}")).unwrap(),
                None,
                "{name}"
            );
        }
        for bad in [
            "",
            "7 (sh",
            "7 (sh) S 1 2",
            "7 (sh) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 x",
        ] {
            assert!(parse_start(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn boot_time_stands_in_for_the_boot_id() {
        assert_eq!(
            boot_time("cpu 1 2\nbtime 1763971000\nx 1\n").as_deref(),
            Some("btime-1763971000")
        );
        assert_eq!(boot_time("cpu 1 2\n"), None);
        let real = fs_err::read_to_string("/proc/stat").unwrap();
        assert!(boot_time(&real).is_some());
    }

    #[test]
    fn numbers_of_no_process() {
        for pid in [0, u32::MAX, 1 << 30] {
            assert_eq!(process_start(pid).unwrap(), None, "{pid}");
        }
    }
}
