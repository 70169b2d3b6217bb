//! Hosts whose kernel has no vsock for us.

use std::io;

fn absent() -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        "This system's kernel has no vsock",
    )
}

/// There is none.
pub fn is_usable() -> bool {
    false
}

/// There is none.
#[derive(Debug)]
pub enum Device {}

impl Device {
    /// Fails.
    pub fn claim() -> io::Result<Self> {
        Err(absent())
    }

    /// The guest's context id.
    pub fn cid(&self) -> u32 {
        match *self {}
    }
}

/// There is none.
#[derive(Debug)]
pub enum Listener {}

impl Listener {
    /// Fails.
    pub fn bind(_port: Option<u32>) -> io::Result<Self> {
        Err(absent())
    }

    /// Its port.
    pub fn port(&self) -> u32 {
        match *self {}
    }

    /// Its guests.
    pub fn serve(self) -> io::Result<Acceptor> {
        match self {}
    }
}

/// There is none.
#[derive(Debug)]
pub enum Acceptor {}

impl Acceptor {
    /// The next caller.
    #[expect(clippy::unused_async, reason = "the other system waits here")]
    pub async fn accept(&mut self) -> io::Result<(Stream, u32)> {
        match *self {}
    }
}

/// A stream that nothing makes; the type is that of a pipe within the process.
pub type Stream = tokio::io::DuplexStream;
