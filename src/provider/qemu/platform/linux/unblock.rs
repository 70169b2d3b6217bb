//! Keeps QEMU from waiting for the program that carries its guest's packets.
//!
//! QEMU that listens for that program leaves the connection that it accepts blocking (seen with 7.2; a connection that it
//! makes itself is not). Its main thread then waits in a send while the program waits in one to it: the guest and the
//! monitor stand still for ever. So the flag is set from outside: `pidfd_getfd`(2) gives the same open file, whose flags are
//! everybody's. It needs what ptrace(2) needs, which a parent has.

use std::io;
use std::path::Path;

use fs_err as fs;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::net::{SocketAddrUnix, getpeername, getsockname};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

/// Sets the connections that a process has accepted at this socket not to block.
pub(in crate::provider::qemu) fn unblock(process: u32, place: &Path) -> io::Result<()> {
    let pid = i32::try_from(process).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or(io::ErrorKind::InvalidInput)?;
    let handle = pidfd_open(pid, PidfdFlags::empty())?;
    let place = SocketAddrUnix::new(place)?;
    for entry in fs::read_dir(format!("/proc/{process}/fd"))? {
        let entry = entry?;
        let number = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        let target = fs::read_link(entry.path()).unwrap_or_default();
        let is_socket = target.to_string_lossy().starts_with("socket:");
        let Some(number) = number.filter(|_| is_socket) else {
            continue;
        };
        let socket = match pidfd_getfd(&handle, number, PidfdGetfdFlags::empty()) {
            // It was closed meanwhile.
            Err(Errno::BADF) => continue,
            socket => socket?,
        };
        let is_there = getsockname(&socket)
            .ok()
            .and_then(|address| SocketAddrUnix::try_from(address).ok())
            .is_some_and(|address| address == place);
        if is_there && getpeername(&socket).is_ok() {
            fcntl_setfl(&socket, fcntl_getfl(&socket)? | OFlags::NONBLOCK)?;
        }
    }
    Ok(())
}
