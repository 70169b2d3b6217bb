//! The ways into the guest from the host: the sockets of its engines, and the SSH port.

use std::net::TcpListener;

use machine_protocol::message::{Engine, Target};

use crate::link::{LinkHandle, Place};
use crate::store::MachineFiles;

/// Lets SSH clients in; they are closed at once until the agent has come.
pub(super) async fn open_ssh(link: &LinkHandle, listener: TcpListener) -> std::io::Result<()> {
    link.serve(Place::Port(listener), Target::Ssh).await
}

/// Opens the sockets of both engines, and the one that follows the mode.
pub(super) async fn open_engines(
    link: &LinkHandle,
    files: &MachineFiles,
    rootful: bool,
) -> std::io::Result<()> {
    let sockets = [
        (files.rootful_socket(), Engine::Rootful),
        (files.rootless_socket(), Engine::Rootless),
        (files.api_socket(), engine(rootful)),
    ];
    for (socket, engine) in sockets {
        link.serve(Place::Socket(socket), Target::Engine(engine))
            .await?;
    }
    Ok(())
}

/// The engine of a mode.
pub(super) fn engine(rootful: bool) -> Engine {
    if rootful {
        Engine::Rootful
    } else {
        Engine::Rootless
    }
}
