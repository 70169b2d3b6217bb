//! macOS: processes by libproc and kqueue.

use std::ffi::CStr;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::kqueue::{Event, EventFilter, EventFlags, ProcessEvents, kevent, kqueue};
use rustix::process::{Pid, Signal, kill_process};

use super::unix::readable;
use crate::process::ProcessIdentity;

/// How often a process is looked at where the kernel gives no event for it.
const LOOK_EVERY: Duration = Duration::from_millis(500);

pub(crate) fn memory_bytes() -> u64 {
    let mut bytes = [0; 8];
    match system_value(c"hw.memsize", &mut bytes) {
        Ok(8) => u64::from_ne_bytes(bytes),
        _ => 0,
    }
}

pub(crate) fn boot_id() -> Option<String> {
    let mut text = [0; 64];
    let length = system_value(c"kern.bootsessionuuid", &mut text).ok()?;
    let text = CStr::from_bytes_until_nul(text.get(..length)?)
        .ok()?
        .to_str()
        .ok()?;
    (!text.is_empty()).then(|| text.to_owned())
}

#[expect(unsafe_code, reason = "no safe binding of sysctlbyname")]
fn system_value(name: &CStr, into: &mut [u8]) -> io::Result<usize> {
    let mut length = into.len();
    // SAFETY: the name ends with a NUL; the kernel writes at most `length` bytes into the slice,
    // which is that long, and stores how many it wrote in `length`.
    let result = unsafe {
        libc::sysctlbyname(
            name.as_ptr(),
            into.as_mut_ptr().cast(),
            &raw mut length,
            std::ptr::null_mut(),
            0,
        )
    };
    if result == 0 {
        Ok(length)
    } else {
        Err(io::Error::last_os_error())
    }
}

/// The start of a process in microseconds since 1970.
#[expect(unsafe_code, reason = "no safe binding of proc_pidinfo")]
pub(crate) fn process_start(pid: u32) -> io::Result<Option<u64>> {
    let Some(pid) = i32::try_from(pid).ok().filter(|pid| *pid > 0) else {
        return Ok(None);
    };
    let mut info = std::mem::MaybeUninit::<libc::proc_bsdinfo>::zeroed();
    let size = i32::try_from(size_of::<libc::proc_bsdinfo>()).unwrap_or(i32::MAX);
    // SAFETY: the kernel writes at most `size` bytes to the structure, which is that large.
    let written = unsafe {
        libc::proc_pidinfo(
            pid,
            libc::PROC_PIDTBSDINFO,
            0,
            info.as_mut_ptr().cast(),
            size,
        )
    };
    if written != size {
        let error = io::Error::last_os_error();
        return match error.raw_os_error() {
            // EPERM: another user's, so not one that this user started.
            Some(libc::ESRCH | libc::EPERM) => Ok(None),
            _ => Err(error),
        };
    }
    // SAFETY: all of its fields are plain numbers, for which zeroed bytes are valid, and the kernel
    // has just filled it.
    let info = unsafe { info.assume_init() };
    if info.pbi_status == libc::SZOMB {
        return Ok(None);
    }
    Ok(Some(
        info.pbi_start_tvsec
            .saturating_mul(1_000_000)
            .saturating_add(info.pbi_start_tvusec),
    ))
}

/// The number could come to mean another process between the look and the signal; the system has
/// no call that does both, and gives numbers out in turn, so it would have to wrap around meanwhile.
fn signal(identity: &ProcessIdentity, signal: Signal) -> io::Result<()> {
    let Some(pid) = number(identity).filter(|_| identity.is_alive()) else {
        return Ok(());
    };
    match kill_process(pid, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn number(identity: &ProcessIdentity) -> Option<Pid> {
    i32::try_from(identity.pid).ok().and_then(Pid::from_raw)
}

pub(crate) fn kill(identity: &ProcessIdentity) -> io::Result<()> {
    signal(identity, Signal::KILL)
}

pub(crate) fn terminate(identity: &ProcessIdentity) -> io::Result<()> {
    signal(identity, Signal::TERM)
}

pub(crate) async fn ended(identity: &ProcessIdentity) {
    if let Some(queue) = number(identity).and_then(watch)
        // Looked at after the watch began: an end before it gives no event.
        && identity.is_alive()
        && readable(queue).await.is_ok()
    {
        return;
    }
    // Gone already, or no event is to be had: looking is all that is left.
    let mut looks = tokio::time::interval(LOOK_EVERY);
    while identity.is_alive() {
        looks.tick().await;
    }
}

/// A queue that becomes readable when the process ends.
#[expect(
    unsafe_code,
    reason = "rustix asks that the descriptors in the changes stay open"
)]
fn watch(pid: Pid) -> Option<OwnedFd> {
    let queue = kqueue().ok()?;
    let change = Event::new(
        EventFilter::Proc {
            pid,
            flags: ProcessEvents::EXIT,
        },
        EventFlags::ADD | EventFlags::ONESHOT,
        std::ptr::null_mut(),
    );
    let mut none: [std::mem::MaybeUninit<Event>; 0] = [];
    // SAFETY: the only change watches a process, so there is no descriptor that could be closed.
    unsafe { kevent(&queue, &[change], &mut none, None) }.ok()?;
    Some(queue)
}
