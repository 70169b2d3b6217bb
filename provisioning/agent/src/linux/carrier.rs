//! The ways to the host, and how each is opened anew for each session.

use std::borrow::Cow;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use machine_protocol::boot::{self, BootParameters};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::OnceCell;
use tokio_vsock::{VsockAddr, VsockStream};

use super::bridge;
use super::port::{self, PortError, PortStream};

/// Why there is no stream to the host.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CarrierError {
    #[error("The boot parameters name no carrier")]
    None,
    #[error(transparent)]
    Port(#[from] PortError),
    #[error("The virtio-serial port broke")]
    Broken(#[source] std::io::Error),
    #[error("The host takes no connection at vsock port {0}")]
    Vsock(u32, #[source] std::io::Error),
    #[error("`{}` takes no connection", .0.display())]
    Socket(PathBuf, #[source] std::io::Error),
    #[error("The agent cannot listen at `{}`", .0.display())]
    Listen(PathBuf, #[source] std::io::Error),
}

/// A way to the host.
#[derive(Debug)]
pub(super) enum Carrier {
    /// The virtio-serial port of this name.
    VirtioSerial(String),
    /// A port of the host's, by vsock.
    Vsock {
        /// The host's context id.
        cid: u32,
        /// The port.
        port: u32,
    },
    /// A socket of ours, for programs that the host runs.
    Bridge {
        /// Its path.
        socket: PathBuf,
        /// Who listens there, from the first opening on.
        listener: OnceCell<UnixListener>,
    },
    /// A Unix socket, for tests without a guest.
    Socket(PathBuf),
}

impl Carrier {
    /// The sockets of the command line, else all of the boot's carriers.
    pub(super) fn all(
        sockets: Vec<PathBuf>,
        boot: &BootParameters,
    ) -> Result<Vec<Self>, CarrierError> {
        let carriers: Vec<Self> = if sockets.is_empty() {
            boot.carriers.iter().map(Self::of).collect()
        } else {
            sockets.into_iter().map(Self::Socket).collect()
        };
        if carriers.is_empty() {
            return Err(CarrierError::None);
        }
        Ok(carriers)
    }

    fn of(carrier: &boot::Carrier) -> Self {
        match carrier {
            boot::Carrier::VirtioSerial { port } => Self::VirtioSerial(port.clone()),
            boot::Carrier::Vsock { cid, port } => Self::Vsock {
                cid: *cid,
                port: *port,
            },
            boot::Carrier::Bridge { socket } => Self::Bridge {
                socket: socket.into(),
                listener: OnceCell::new(),
            },
        }
    }

    /// The carrier's name in the hello.
    pub(super) fn name(&self) -> Cow<'static, str> {
        match self {
            Self::VirtioSerial(_) => "virtio-serial".into(),
            Self::Vsock { .. } => "vsock".into(),
            Self::Bridge { .. } => "bridge".into(),
            Self::Socket(path) => {
                let name = path.file_name().unwrap_or_default();
                name.to_string_lossy().into_owned().into()
            }
        }
    }

    /// Whether opening it waits until the host is there. What only fails must not be opened again at once.
    pub(super) fn waits(&self) -> bool {
        matches!(self, Self::VirtioSerial(_) | Self::Bridge { .. })
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
            // The kernel gives a host that does not answer 2 s.
            Self::Vsock { cid, port } => {
                match VsockStream::connect(VsockAddr::new(*cid, *port)).await {
                    Ok(stream) => Ok(CarrierStream::Vsock(stream)),
                    Err(error) => Err(CarrierError::Vsock(*port, error)),
                }
            }
            Self::Bridge { socket, listener } => {
                let failed = |error| CarrierError::Listen(socket.clone(), error);
                let listen = async || bridge::listen(socket);
                let listener = listener.get_or_try_init(listen).await.map_err(failed)?;
                let (stream, _) = listener.accept().await.map_err(failed)?;
                Ok(CarrierStream::Socket(stream))
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
    Vsock(VsockStream),
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
            Self::Vsock(stream) => Pin::new(stream).poll_read(context, buffer),
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
            Self::Vsock(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Socket(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Port(stream) => Pin::new(stream).poll_flush(context),
            Self::Vsock(stream) => Pin::new(stream).poll_flush(context),
            Self::Socket(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Port(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Vsock(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Socket(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

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
            facts: machine_protocol::boot::HostFacts::default(),
            shares: Vec::new(),
            data_disk: None,
        }
    }

    #[test]
    fn all_that_the_host_offers() {
        let offered = boot(vec![
            boot::Carrier::Vsock { cid: 2, port: 1 },
            boot::Carrier::VirtioSerial { port: "a".into() },
            boot::Carrier::Bridge {
                socket: "/b".into(),
            },
        ]);
        let carriers = Carrier::all(Vec::new(), &offered).unwrap();
        assert!(
            matches!(
                &carriers[..],
                [
                    Carrier::Vsock { cid: 2, port: 1 },
                    Carrier::VirtioSerial(port),
                    Carrier::Bridge { socket, .. },
                ] if port == "a" && socket == Path::new("/b")
            ),
            "{carriers:?}"
        );
        let carriers = Carrier::all(vec!["/s".into()], &offered).unwrap();
        assert!(
            matches!(&carriers[..], [Carrier::Socket(path)] if path == Path::new("/s")),
            "{carriers:?}"
        );
        assert!(matches!(
            Carrier::all(Vec::new(), &boot(Vec::new())),
            Err(CarrierError::None)
        ));
    }

    #[tokio::test]
    async fn vsock_without_a_host_is_an_error_and_no_wait() {
        // Where this runs there may be no vsock at all, or one on which nobody listens.
        let carrier = Carrier::Vsock {
            cid: boot::VSOCK_HOST,
            port: 0x7fff_0001,
        };
        let opened = tokio::time::timeout(std::time::Duration::from_secs(20), carrier.open());
        assert!(matches!(
            opened.await.unwrap(),
            Err(CarrierError::Vsock(0x7fff_0001, _))
        ));
    }
}
