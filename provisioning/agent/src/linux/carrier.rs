//! The way to the host that is used, and how it is opened anew for each session.

use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use machine_protocol::boot::{self, BootParameters};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;

use super::port::{self, PortError, PortStream};

/// Why there is no stream to the host.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CarrierError {
    #[error("The boot parameters name no carrier that this agent has")]
    None,
    #[error(transparent)]
    Port(#[from] PortError),
    #[error("The virtio-serial port broke")]
    Broken(#[source] std::io::Error),
    #[error("`{}` takes no connection", .0.display())]
    Socket(PathBuf, #[source] std::io::Error),
}

/// A way to the host.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Carrier {
    /// The virtio-serial port of this name.
    VirtioSerial(String),
    /// A Unix socket, for tests without a guest.
    Socket(PathBuf),
}

impl Carrier {
    /// The socket of the command line, else the first of the boot's carriers that this agent knows.
    pub(super) fn choose(
        socket: Option<PathBuf>,
        boot: &BootParameters,
    ) -> Result<Self, CarrierError> {
        if let Some(path) = socket {
            return Ok(Self::Socket(path));
        }
        let known = boot.carriers.iter().find_map(|carrier| match carrier {
            boot::Carrier::VirtioSerial { port } => Some(Self::VirtioSerial(port.clone())),
            boot::Carrier::Vsock { .. } => None,
        });
        known.ok_or(CarrierError::None)
    }

    /// The carrier's name in the hello.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::VirtioSerial(_) => "virtio-serial",
            Self::Socket(_) => "socket",
        }
    }

    /// Opens the carrier and waits until somebody of the host is at the other end. Each opening is seen by the host,
    /// which answers with a new hello.
    pub(super) async fn open(&self) -> Result<CarrierStream, CarrierError> {
        match self {
            Self::VirtioSerial(name) => {
                let device = port::find(name).await?;
                let mut stream = PortStream::open(&device)?;
                stream.connected().await.map_err(CarrierError::Broken)?;
                Ok(CarrierStream::Port(stream))
            }
            Self::Socket(path) => match UnixStream::connect(path).await {
                Ok(stream) => Ok(CarrierStream::Socket(stream)),
                Err(error) => Err(CarrierError::Socket(path.clone(), error)),
            },
        }
    }
}

/// An open carrier.
pub(super) enum CarrierStream {
    Port(PortStream),
    Socket(UnixStream),
}

impl AsyncRead for CarrierStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Port(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Socket(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for CarrierStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        match self.get_mut() {
            Self::Port(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Socket(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Port(stream) => Pin::new(stream).poll_flush(context),
            Self::Socket(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Port(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Socket(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use machine_protocol::secret::Secret;

    use super::*;

    fn boot(carriers: Vec<boot::Carrier>) -> BootParameters {
        BootParameters {
            format: 1,
            machine: String::new(),
            secret: Secret::generate().unwrap(),
            user: String::new(),
            uid: 1,
            rootful: false,
            carriers,
            host_build: String::new(),
        }
    }

    #[test]
    fn the_first_that_is_known() {
        let vsock = || boot::Carrier::Vsock { cid: 2, port: 1 };
        let port = |name: &str| boot::Carrier::VirtioSerial {
            port: name.to_owned(),
        };
        let chosen = Carrier::choose(None, &boot(vec![vsock(), port("a"), port("b")])).unwrap();
        assert_eq!(chosen, Carrier::VirtioSerial("a".to_owned()));
        assert_eq!(
            Carrier::choose(Some("/s".into()), &boot(vec![port("a")])).unwrap(),
            Carrier::Socket("/s".into())
        );
        assert!(matches!(
            Carrier::choose(None, &boot(vec![vsock()])),
            Err(CarrierError::None)
        ));
    }
}
