//! Unix sockets, and the hang-up of any socket on Unix systems.

use std::{
    future::{Future, pending},
    io,
    os::{fd::AsFd, unix::net},
};

use bytes::BytesMut;
use socket2::SockRef;
use tokio::{io::Interest, net::UnixStream};

use super::{Local, RelayError, Relayed, relay};
use crate::link::MuxStream;

/// Joins a unix socket to a stream until both directions have ended.
pub async fn relay_unix(socket: UnixStream, stream: MuxStream) -> Result<Relayed, RelayError> {
    relay(&socket, stream).await
}

impl Local for UnixStream {
    fn readable(&self) -> impl Future<Output = io::Result<()>> {
        Self::readable(self)
    }

    fn try_read(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        self.try_read_buf(buffer)
    }

    fn writable(&self) -> impl Future<Output = io::Result<()>> {
        Self::writable(self)
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        Self::try_write(self, bytes)
    }

    fn socket(&self) -> SockRef<'_> {
        SockRef::from(self)
    }

    fn hung_up(&self) -> impl Future<Output = ()> {
        hung_up(self)
    }

    fn abort(&self) {}
}

/// Ready once the peer has closed the socket: `EPOLLHUP`, or `EV_EOF` on kqueue's write filter.
///
/// The events are edges, and each but the hang-up is thrown away here so that nothing spins. A
/// duplicate has a registration of its own for that: the copy loop needs the edges of the
/// socket's. Where it cannot be had (no descriptors left) the hang-up shows at the next write.
pub(super) async fn hung_up(socket: &impl AsFd) {
    if watch(socket).await.is_err() {
        pending::<()>().await;
    }
}

async fn watch(socket: &impl AsFd) -> io::Result<()> {
    // Only waited on, so that it does not matter whether it is a unix socket.
    let duplicate = net::UnixStream::from(socket.as_fd().try_clone_to_owned()?);
    let watched = UnixStream::from_std(duplicate)?;
    while !watched.ready(Interest::WRITABLE).await?.is_write_closed() {
        let clear = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
        let _ = watched.try_io(Interest::WRITABLE, clear);
    }
    Ok(())
}
