//! A local socket joined to one stream of a link: the copy loop that host and agent share.
//!
//! Each direction ends by itself, and the other lives on:
//!
//! | happens | then |
//! |---|---|
//! | the local peer ends its direction | END; the other direction goes on |
//! | the local peer hangs up | STOP, since nobody reads any more; what it sent still goes out, then END |
//! | reading the local socket fails | RESET |
//! | writing the local socket fails | STOP |
//! | END from the link | the local socket's write side is shut down |
//! | STOP from the link | the local socket's read side is shut down, so that its peer's writes fail; what is to be delivered to it still is |
//! | RESET from the link, or the link is lost | the local socket is aborted |
//!
//! Hang-up and half-close differ: after the local end of data the socket is still watched, or
//! an attach to a silent container would leak for ever.
//!
//! Aborting a TCP socket resets the connection. A unix socket has no reset: its peer sees
//! `ECONNRESET` when it had sent bytes that were not read, and an end of data otherwise.

#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub use unix::relay_unix;
#[cfg(windows)]
mod windows;

#[cfg(test)]
#[cfg(unix)]
mod tests;

use std::{
    future::{Future, poll_fn},
    io,
    pin::pin,
    task::Poll,
};

use bytes::{Bytes, BytesMut};
use socket2::SockRef;
use tokio::net::TcpStream;

use crate::{
    frame::ResetCode,
    link::{MuxStream, Permit, RecvHalf, SendHalf, StreamError},
};

/// What went through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Relayed {
    /// Bytes from the local socket to the link.
    pub sent: u64,
    /// Bytes from the link to the local socket.
    pub received: u64,
}

/// Why a relay broke off.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The other end aborted the stream, or the link was lost.
    #[error("The stream of the link broke off")]
    Stream(#[source] StreamError),
    /// The local socket failed.
    #[error("The local socket failed")]
    Local(#[from] io::Error),
}

/// What the copy loop needs of a socket, beside what both kinds have as methods.
trait Local {
    /// Ready once something can be read, or the end, or an error.
    fn readable(&self) -> impl Future<Output = io::Result<()>>;
    /// Reads what is there.
    fn try_read(&self, buffer: &mut BytesMut) -> io::Result<usize>;
    /// Ready once something can be written, or an error.
    fn writable(&self) -> impl Future<Output = io::Result<()>>;
    /// Writes what fits.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;
    /// For options and half shutdown.
    fn socket(&self) -> SockRef<'_>;
    /// Ready once the peer has closed the socket, not only its sending direction.
    fn hung_up(&self) -> impl Future<Output = ()>;
    /// Prepares for a drop that the peer sees as a reset, where there is such a thing.
    fn abort(&self);
}

/// Joins a TCP connection to a stream until both directions have ended.
pub async fn relay_tcp(socket: TcpStream, stream: MuxStream) -> Result<Relayed, RelayError> {
    relay(&socket, stream).await
}

impl Local for TcpStream {
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
        #[cfg(unix)]
        return unix::hung_up(self);
        #[cfg(windows)]
        return windows::hung_up();
    }

    fn abort(&self) {
        // A socket that is already gone needs no abort.
        let _ = self.socket().set_linger(Some(std::time::Duration::ZERO));
    }
}

async fn relay<L: Local>(local: &L, stream: MuxStream) -> Result<Relayed, RelayError> {
    let (recv, send) = stream.into_split();
    let mut relayed = Relayed::default();
    let result = {
        let Relayed { sent, received } = &mut relayed;
        let mut up = pin!(upload(local, send, sent));
        let mut down = pin!(download(local, recv, received));
        let (mut up_result, mut down_result) = (None, None);
        poll_fn(|cx| {
            if down_result.is_none()
                && let Poll::Ready(result) = down.as_mut().poll(cx)
            {
                down_result = Some(result);
            }
            // An aborted stream takes the upload with it.
            if matches!(down_result, Some(Err(RelayError::Stream(_)))) {
                return Poll::Ready(down_result.take().unwrap_or(Ok(())));
            }
            if up_result.is_none()
                && let Poll::Ready(result) = up.as_mut().poll(cx)
            {
                up_result = Some(result);
            }
            if matches!(up_result, Some(Err(RelayError::Stream(_)))) {
                return Poll::Ready(up_result.take().unwrap_or(Ok(())));
            }
            match (up_result.is_some(), down_result.is_some()) {
                (true, true) => {
                    let (up, down) = (up_result.take(), down_result.take());
                    Poll::Ready(up.unwrap_or(Ok(())).and(down.unwrap_or(Ok(()))))
                }
                _ => Poll::Pending,
            }
        })
        .await
    };
    if matches!(result, Err(RelayError::Stream(_))) {
        local.abort();
    }
    result.map(|()| relayed)
}

/// Local socket to link.
async fn upload<L: Local>(
    local: &L,
    mut send: SendHalf,
    count: &mut u64,
) -> Result<(), RelayError> {
    loop {
        // The turn to send is asked for once there is something to send.
        tokio::select! {
            biased;
            () = send.stopped() => {}
            ready = local.readable() => ready?,
        }
        // It also tells a stop from a lost link.
        let read = match send.reserve().await {
            Ok(permit) => fill(local, permit),
            Err(StreamError::Stopped) => {
                // Neither do we read, and the local peer learns of it by its writes. It fails
                // when that peer is gone too.
                let _ = local.socket().shutdown(std::net::Shutdown::Read);
                return Ok(());
            }
            Err(error) => return Err(RelayError::Stream(error)),
        };
        match read {
            Ok(0) => {
                send.finish();
                return Ok(());
            }
            Ok(read) => *count += read as u64,
            Err(error) if is_retry(&error) => {}
            Err(error) => {
                send.reset_with(ResetCode::LocalError, &error.to_string());
                return Err(error.into());
            }
        }
    }
}

/// Reads what is there, without waiting, and sends it.
fn fill<L: Local>(local: &L, permit: Permit<'_>) -> io::Result<usize> {
    let mut buffer = BytesMut::with_capacity(permit.max_len());
    let read = local.try_read(&mut buffer)?;
    permit.send(shrunk(buffer));
    Ok(read)
}

/// A small piece must not pin a large buffer while it is queued.
fn shrunk(buffer: BytesMut) -> Bytes {
    if buffer.len() * 2 < buffer.capacity() {
        Bytes::copy_from_slice(&buffer)
    } else {
        buffer.freeze()
    }
}

/// Link to local socket. Dropping `recv` before its end is the STOP.
async fn download<L: Local>(
    local: &L,
    mut recv: RecvHalf,
    count: &mut u64,
) -> Result<(), RelayError> {
    let mut hung_up = pin!(local.hung_up());
    loop {
        let chunk = tokio::select! {
            biased;
            chunk = recv.read() => chunk.map_err(RelayError::Stream)?,
            () = &mut hung_up => return Ok(()),
        };
        let Some(mut chunk) = chunk else {
            // It fails when the local peer is gone.
            let _ = local.socket().shutdown(std::net::Shutdown::Write);
            return Ok(());
        };
        while !chunk.is_empty() {
            match local.try_write(&chunk) {
                Ok(written) => {
                    *count += written as u64;
                    bytes::Buf::advance(&mut chunk, written);
                }
                Err(error) if is_retry(&error) => local.writable().await?,
                // The local peer is gone, or does not read any more: no failure of the relay.
                Err(error) if is_gone(&error) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn is_retry(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::NotConnected
    )
}
