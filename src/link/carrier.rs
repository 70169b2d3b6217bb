//! The carriers of a link, and who calls whom on each.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;

use machine_host::{local_socket, vsock};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::process::{Child, Command};

/// A way to the agent.
#[derive(Debug)]
pub enum Carrier {
    /// A virtio-serial port whose host end is a unix socket served by the hypervisor, which we dial.
    VirtioSerial {
        /// The socket.
        socket: PathBuf,
    },
    /// A vsock, over which the guest dials us.
    Vsock(VsockEnd),
    /// A program whose standard streams lead to the agent, started for each session.
    Program(CarrierProgram),
}

/// A program of the host whose standard streams lead to the agent; it waits by itself until the agent is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CarrierProgram {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Variables beside those of this process.
    pub environment: Vec<(OsString, OsString)>,
}

impl CarrierProgram {
    /// Starts the program. It ends with the returned value, and what it says besides goes to this process's own log.
    pub fn start(&self) -> io::Result<(Child, Box<dyn Io>)> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn()?;
        let streams = child.stdout.take().zip(child.stdin.take());
        let (from, to) = streams.ok_or(io::ErrorKind::BrokenPipe)?;
        Ok((child, Box::new(tokio::io::join(from, to))))
    }
}

/// Where a guest's vsock connections arrive on the host.
#[derive(Debug)]
pub enum VsockEnd {
    /// At a unix socket, to which the program that is the guest's vsock device passes them on.
    Socket(PathBuf),
    /// At a port of the kernel's, which others can dial as well.
    Kernel {
        /// The port.
        listener: vsock::Listener,
        /// The context id of our guest.
        cid: u32,
    },
}

impl Carrier {
    /// The carrier's name in the hello and in events.
    pub fn name(&self) -> &'static str {
        match self {
            Self::VirtioSerial { .. } => "virtio-serial",
            Self::Vsock(_) => "vsock",
            Self::Program(_) => "bridge",
        }
    }
}

/// A link's carriers, best first. The kernel's vsock is the fastest way into a guest. That of a program was slower than
/// virtio-serial where it was measured, so it comes after it unless `program_first`.
pub fn in_order(
    vsock: Option<VsockEnd>,
    virtio_serial: Option<PathBuf>,
    program_first: bool,
) -> Vec<Carrier> {
    let serial_first = matches!(vsock, Some(VsockEnd::Socket(_))) && !program_first;
    let serial = virtio_serial.map(|socket| Carrier::VirtioSerial { socket });
    let vsock = vsock.map(Carrier::Vsock);
    let (first, second) = if serial_first {
        (serial, vsock)
    } else {
        (vsock, serial)
    };
    first.into_iter().chain(second).collect()
}

/// A byte stream to the guest.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}

/// Where callers come from.
pub(super) trait Accept: Send + 'static {
    /// The next caller; `None` for one that has no business here. Cancel safe.
    fn accept(&mut self) -> impl Future<Output = io::Result<Option<Box<dyn Io>>>> + Send;
}

/// The callers of a [`VsockEnd`].
pub(super) enum Acceptor {
    Socket(local_socket::Listener),
    Kernel { acceptor: vsock::Acceptor, cid: u32 },
}

impl Acceptor {
    /// Begins to listen.
    pub(super) fn open(end: VsockEnd) -> io::Result<Self> {
        Ok(match end {
            VsockEnd::Socket(path) => Self::Socket(local_socket::bind(&path)?),
            VsockEnd::Kernel { listener, cid } => Self::Kernel {
                acceptor: listener.serve()?,
                cid,
            },
        })
    }
}

impl Accept for Acceptor {
    async fn accept(&mut self) -> io::Result<Option<Box<dyn Io>>> {
        match self {
            Self::Socket(listener) => {
                let stream = listener.accept().await?;
                Ok(Some(Box::new(stream)))
            }
            Self::Kernel { acceptor, cid } => {
                let (stream, caller) = acceptor.accept().await?;
                Ok(of_our_guest(stream, caller, *cid))
            }
        }
    }
}

/// Drops the streams of other guests and of this host.
fn of_our_guest(stream: impl Io, caller: u32, guest: u32) -> Option<Box<dyn Io>> {
    if caller != guest {
        tracing::warn!(
            caller,
            "Somebody else than the guest dialled its vsock port"
        );
        return None;
    }
    Some(Box::new(stream))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_measured_order() {
        let serial = || Some(PathBuf::from("/m/link.sock"));
        let program = || Some(VsockEnd::Socket("/m/vsock.sock_1025".into()));
        let names = |vsock, first| -> Vec<_> {
            let carriers = in_order(vsock, serial(), first);
            carriers.iter().map(Carrier::name).collect()
        };
        assert_eq!(names(None, true), ["virtio-serial"]);
        let alone = in_order(program(), None, false);
        assert_eq!(
            alone.iter().map(Carrier::name).collect::<Vec<_>>(),
            ["vsock"]
        );
        assert_eq!(names(program(), false), ["virtio-serial", "vsock"]);
        assert_eq!(names(program(), true), ["vsock", "virtio-serial"]);
    }

    #[test]
    fn only_our_guest_is_let_in_at_the_kernels_port() {
        let stream = || tokio::io::duplex(1).0;
        assert!(of_our_guest(stream(), 7, 7).is_some());
        for other in [0, 1, 2, 8] {
            assert!(of_our_guest(stream(), other, 7).is_none());
        }
    }
}
