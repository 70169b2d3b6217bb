//! What the host's streams are joined to. A short list: nothing else can be reached in the guest.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::rc::Rc;

use bytes::Bytes;
use machine_protocol::link::{Incoming, Link, MuxStream, ResetCode, StreamError};
use machine_protocol::message::Target;
use machine_protocol::publish::Protocol;
use machine_protocol::relay::{relay_tcp, relay_unix};
use tokio::net::{TcpStream, UnixStream};

use super::guest::Guest;
use super::log::log_error;
use super::{control, datagrams, exec};

/// Serves one stream to its end.
pub(super) async fn serve(incoming: Incoming, link: Link, guest: Rc<Guest>) {
    let done = match incoming.target {
        Target::Engine(engine) => {
            let socket = guest.paths.engine_socket(engine);
            return relay(incoming, &socket).await;
        }
        Target::Ssh => return relay_ssh(incoming, guest.ssh_server).await,
        Target::Port { protocol, port } => return relay_port(incoming, protocol, port).await,
        Target::Exec => exec::serve(incoming.accept(), &guest).await,
        Target::AgentControl => control::serve(incoming.accept(), &link, &guest).await,
        Target::Discard => discard(incoming.accept()).await,
        Target::Source { bytes } => source(incoming.accept(), bytes).await,
        Target::Echo => echo(incoming.accept()).await,
        Target::AgentEvents | Target::Publish | Target::Socket { .. } => {
            return incoming
                .refuse_with(ResetCode::UnknownTarget, "The agent opens this one itself");
        }
    };
    if let Err(error) = done {
        // Hosts lose interest, and tests break off; only what is odd is worth a line.
        if !matches!(
            error,
            StreamError::Reset(_) | StreamError::Stopped | StreamError::LinkLost
        ) {
            log_error("A stream ended oddly", &error);
        }
    }
}

async fn relay(incoming: Incoming, socket: &Path) {
    match connect(socket).await {
        Ok(connection) => {
            if let Err(error) = relay_unix(connection, incoming.accept()).await {
                log_error(&format!("A stream to `{}` broke", socket.display()), &error);
            }
        }
        Err(error) => {
            let reason = format!("`{}` takes no connection: {error}", socket.display());
            incoming.refuse_with(ResetCode::Unreachable, &reason);
        }
    }
}

/// Published ports are bound on all of the guest's addresses by engines, and by other servers on one of the two.
async fn relay_port(incoming: Incoming, protocol: Protocol, port: u16) {
    if protocol == Protocol::Udp {
        return match datagrams::connect(port).await {
            Ok(socket) => datagrams::relay(socket, incoming.accept()).await,
            Err(error) => incoming.refuse_with(ResetCode::Unreachable, &error.to_string()),
        };
    }
    let addresses = [
        SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        SocketAddr::from((Ipv6Addr::LOCALHOST, port)),
    ];
    match TcpStream::connect(&addresses[..]).await {
        Ok(connection) => {
            // A failure costs speed and nothing else.
            let _ = connection.set_nodelay(true);
            // Servers hang up, which is no news.
            let _ = relay_tcp(connection, incoming.accept()).await;
        }
        Err(error) => {
            let reason = format!("Port {port} of the guest takes no connection: {error}");
            incoming.refuse_with(ResetCode::Unreachable, &reason);
        }
    }
}

async fn relay_ssh(incoming: Incoming, server: SocketAddr) {
    match TcpStream::connect(server).await {
        Ok(connection) => {
            if let Err(error) = relay_tcp(connection, incoming.accept()).await {
                log_error("An SSH stream broke", &error);
            }
        }
        Err(error) => {
            let reason = format!("The guest's SSH server takes no connection: {error}");
            incoming.refuse_with(ResetCode::Unreachable, &reason);
        }
    }
}

/// Connects, and waits while the listener's queue is full. The kernel gives no event for that, only a call that blocks.
async fn connect(socket: &Path) -> io::Result<UnixStream> {
    match UnixStream::connect(socket).await {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            let socket = socket.to_path_buf();
            let blocking = move || std::os::unix::net::UnixStream::connect(socket);
            let connection = tokio::task::spawn_blocking(blocking)
                .await
                .map_err(io::Error::other)??;
            connection.set_nonblocking(true)?;
            UnixStream::from_std(connection)
        }
        done => done,
    }
}

async fn discard(stream: MuxStream) -> Result<(), StreamError> {
    let (mut from, mut to) = stream.into_split();
    while from.read().await?.is_some() {}
    to.finish();
    Ok(())
}

async fn source(stream: MuxStream, bytes: u64) -> Result<(), StreamError> {
    static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];
    let (_from, mut to) = stream.into_split();
    let mut left = bytes;
    while left > 0 {
        let permit = to.reserve().await?;
        let length = usize::try_from(left).unwrap_or(usize::MAX);
        let length = length.min(permit.max_len()).min(ZEROS.len());
        permit.send(Bytes::from_static(&ZEROS[..length]));
        left -= length as u64;
    }
    to.finish();
    Ok(())
}

async fn echo(stream: MuxStream) -> Result<(), StreamError> {
    let (mut from, mut to) = stream.into_split();
    while let Some(mut bytes) = from.read().await? {
        while !bytes.is_empty() {
            let permit = to.reserve().await?;
            let part = bytes.split_to(permit.max_len().min(bytes.len()));
            permit.send(part);
        }
    }
    to.finish();
    Ok(())
}
