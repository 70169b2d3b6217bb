//! Tells systemd that what waits for the agent may go on (`sd_notify(3)`).

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use super::log::log_error;

/// Names the socket where somebody listens.
const SOCKET: &str = "NOTIFY_SOCKET";
/// A little more than what takes that long.
const MARGIN: Duration = Duration::from_secs(10);

/// The agent has done what comes before the engines. Without systemd nobody is told.
pub(super) fn ready() {
    if let Err(error) = tell("READY=1") {
        log_error("systemd is not told that the agent is ready", &error);
    }
}

/// What comes before may take as long from now on: systemd ends a service whose start takes longer than it allows
/// (`DefaultTimeoutStartSec=` of `systemd-system.conf(5)`, 90 s).
pub(super) fn takes(longest: Duration) {
    let longest = longest.saturating_add(MARGIN);
    if let Err(error) = tell(&format!("EXTEND_TIMEOUT_USEC={}", longest.as_micros())) {
        log_error("systemd is not told that the agent takes longer", &error);
    }
}

fn tell(what: &str) -> io::Result<()> {
    match std::env::var_os(SOCKET) {
        Some(name) => send(name.as_bytes(), what.as_bytes()),
        None => Ok(()),
    }
}

fn send(name: &[u8], what: &[u8]) -> io::Result<()> {
    let address = match name {
        [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest)?,
        path => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(path))?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.send_to_addr(what, &address)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_have_paths_or_names() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let name = format!("machine-agent-test-{}", std::process::id());
        let abstract_name = SocketAddr::from_abstract_name(&name).unwrap();
        for (listener, told) in [
            (
                UnixDatagram::bind(&path).unwrap(),
                path.as_os_str().as_bytes().to_vec(),
            ),
            (
                UnixDatagram::bind_addr(&abstract_name).unwrap(),
                format!("@{name}").into_bytes(),
            ),
        ] {
            send(&told, b"READY=1").unwrap();
            let mut text = [0; 16];
            let length = listener.recv(&mut text).unwrap();
            assert_eq!(&text[..length], b"READY=1");
        }
        send(b"/nowhere/notify", b"READY=1").unwrap_err();
    }
}
