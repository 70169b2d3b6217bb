//! The guest's vsock: each connection of the guest is one to the unix socket of its port.

use std::path::{Path, PathBuf};

use tokio::io::copy_bidirectional;
use tokio::net::{UnixListener, UnixStream};

use super::hardware::{Direction, Hardware};
use super::{FakeError, failed};

/// The unix socket that a guest's connection to this port of its host leads to.
pub(super) fn leads_to(hardware: &Hardware, port: u32) -> Option<&Path> {
    let mut ports = hardware.vsock.iter();
    ports
        .find(|vsock| vsock.port == port && vsock.direction == Direction::Listen)
        .map(|vsock| &*vsock.socket)
}

/// Makes `entrance` the guest's way to the socket `to` of its host.
pub(super) fn relay(entrance: &Path, to: PathBuf) -> Result<(), FakeError> {
    let listener = UnixListener::bind(entrance).map_err(failed("the guest's vsock"))?;
    tokio::spawn(async move {
        while let Ok((guest, _)) = listener.accept().await {
            let to = to.clone();
            tokio::spawn(async move { join(guest, &to).await });
        }
    });
    Ok(())
}

/// A host that does not listen is a connection that ends.
async fn join(mut guest: UnixStream, to: &Path) {
    if let Ok(mut host) = UnixStream::connect(to).await {
        let _ = copy_bidirectional(&mut guest, &mut host).await;
    }
}

/// Listens for the host at ports that the guest would serve, which it does not.
pub(super) fn listen_for_host(hardware: &Hardware) -> Result<(), FakeError> {
    let ports = hardware.vsock.iter();
    for port in ports.filter(|port| port.direction == Direction::Connect) {
        let what = format!("listen unix {}", port.socket.display());
        let listener = UnixListener::bind(&port.socket).map_err(failed(what))?;
        tokio::spawn(async move {
            while let Ok(refused) = listener.accept().await {
                drop(refused);
            }
        });
    }
    Ok(())
}
