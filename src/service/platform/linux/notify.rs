//! Tells systemd that a service is there (`sd_notify(3)`).

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Names the socket where somebody listens.
const SOCKET: &str = "NOTIFY_SOCKET";

/// The service is there. Without systemd nobody is told.
pub(in crate::service) fn ready() {
    let Some(name) = std::env::var_os(SOCKET) else {
        return;
    };
    if let Err(error) = send(name.as_bytes()) {
        tracing::warn!(%error, "systemd is not told that the supervisor is there");
    }
}

fn send(name: &[u8]) -> io::Result<()> {
    let address = match name {
        [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest)?,
        path => SocketAddr::from_pathname(OsStr::from_bytes(path))?,
    };
    UnixDatagram::unbound()?.send_to_addr(b"READY=1", &address)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_have_paths_or_names() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let name = format!("machine-test-{}", std::process::id());
        let by_name = SocketAddr::from_abstract_name(&name).unwrap();
        for (listener, told) in [
            (
                UnixDatagram::bind(&path).unwrap(),
                path.as_os_str().as_bytes().to_vec(),
            ),
            (
                UnixDatagram::bind_addr(&by_name).unwrap(),
                format!("@{name}").into_bytes(),
            ),
        ] {
            send(&told).unwrap();
            let mut text = [0; 16];
            let length = listener.recv(&mut text).unwrap();
            assert_eq!(&text[..length], b"READY=1");
        }
        send(b"/nowhere/notify").unwrap_err();
    }
}
