//! Named pipes under names derived from paths. Type-checked; the round trip runs under Wine.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::windows::named_pipe::{
    ClientOptions, NamedPipeClient, NamedPipeServer, ServerOptions,
};

/// A connected endpoint.
#[derive(Debug)]
pub struct Stream(Side);

#[derive(Debug)]
enum Side {
    Server(NamedPipeServer),
    Client(NamedPipeClient),
}

/// A listening endpoint.
#[derive(Debug)]
pub struct Listener {
    name: OsString,
    next: NamedPipeServer,
}

impl Listener {
    /// The next client.
    pub async fn accept(&mut self) -> io::Result<Stream> {
        self.next.connect().await?;
        // The next instance exists before this one is handed out, or a client in between would find no pipe.
        let next = ServerOptions::new()
            .reject_remote_clients(true)
            .create(&self.name)?;
        Ok(Stream(Side::Server(std::mem::replace(
            &mut self.next,
            next,
        ))))
    }
}

/// What programs of others are to be given for `path`: the name of its pipe.
pub fn address(path: &Path) -> PathBuf {
    pipe_name(path).into()
}

/// Listens under the pipe name of `path`; fails when another process does already. Needs a tokio runtime.
pub fn bind(path: &Path) -> io::Result<Listener> {
    let name = pipe_name(path);
    let next = ServerOptions::new()
        .first_pipe_instance(true)
        .reject_remote_clients(true)
        .create(&name)?;
    Ok(Listener { name, next })
}

/// Connects to whoever listens under the pipe name of `path`.
pub async fn connect(path: &Path) -> io::Result<Stream> {
    ClientOptions::new()
        .open(pipe_name(path))
        .map(|client| Stream(Side::Client(client)))
}

/// How the names of pipes begin.
const PIPES: &str = r"\\.\pipe\";

/// What is the name of a pipe already, else `\\.\pipe\` and the path with its separators and drive colon replaced: unique as the path is.
fn pipe_name(path: &Path) -> OsString {
    let text = path.to_string_lossy();
    if text.starts_with(PIPES) {
        return path.into();
    }
    let flat: String = text
        .chars()
        .map(|c| {
            if matches!(c, '\\' | '/' | ':') {
                '-'
            } else {
                c
            }
        })
        .collect();
    OsString::from(format!("{PIPES}machine{flat}"))
}

macro_rules! delegate {
    ($self:ident, $method:ident, $($argument:expr),*) => {
        match &mut $self.get_mut().0 {
            Side::Server(side) => Pin::new(side).$method($($argument),*),
            Side::Client(side) => Pin::new(side).$method($($argument),*),
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        delegate!(self, poll_read, context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        delegate!(self, poll_write, context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, poll_flush, context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, poll_shutdown, context)
    }
}

/// Nobody needs it here yet.
pub fn connect_writer(_path: &Path) -> io::Result<Box<dyn io::Write + Send>> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Not asked of the system yet.
pub fn peer_process(_stream: &Stream) -> Option<u32> {
    None
}

/// Leaves the endpoint with the runtime that accepted it, which wakes the caller's: Windows ties a pipe to one
/// completion port for good.
pub fn rehome(stream: Stream) -> io::Result<Stream> {
    Ok(stream)
}

/// False when it is certain that nobody listens at `path`; to look at a pipe is to connect to it.
pub fn may_exist(_path: &Path) -> bool {
    true
}
