//! A virtio-serial port as a stream.
//!
//! The port tells its guest about the host's side in a way of its own. While no program of the host is connected, a
//! read gives 0 bytes, a write would block, and `poll` says "hung up"; when one connects, the hang-up is taken back,
//! and when it leaves, the hang-up returns. So a hang-up is not the end of the port but of one visitor.
//!
//! tokio takes a hang-up for final. So the port has an epoll of its own inside of tokio's: the inner one hands out
//! each change once (it is edge-triggered, and asks the port anew each time), and the outer one only says when the
//! inner one has something to hand out.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

use super::{sys, watch};

/// How long the port may take to appear.
const APPEARANCE: Duration = Duration::from_mins(1);

/// Why there is no port.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PortError {
    #[error("No virtio-serial port `{0}` appeared within {secs} s", secs = APPEARANCE.as_secs())]
    Absent(String),
    #[error("The virtio-serial port `{0}` could not be waited for")]
    Wait(String, #[source] io::Error),
    #[error("`{}` could not be opened", .0.display())]
    Open(PathBuf, #[source] io::Error),
}

/// Waits for the port of this name and says which device it is.
pub(super) async fn find(name: &str) -> Result<PathBuf, PortError> {
    // udev makes the link when the port's name is known, which the kernel tells after the device has appeared.
    let link = Path::new("/dev/virtio-ports").join(name);
    let class = Path::new("/sys/class/virtio-ports");
    let appeared = watch::until(&link, || look_up(class, name));
    match tokio::time::timeout(APPEARANCE, appeared).await {
        Ok(Ok(device)) => Ok(Path::new("/dev").join(device)),
        Ok(Err(error)) => Err(PortError::Wait(name.to_owned(), error)),
        Err(_) => Err(PortError::Absent(name.to_owned())),
    }
}

/// The device's name, from the kernel's list of ports. The number in it says nothing: it counts the other devices too.
fn look_up(class: &Path, name: &str) -> Option<String> {
    let ports = fs_err::read_dir(class).ok()?;
    ports.filter_map(Result::ok).find_map(|port| {
        let its_name = fs_err::read_to_string(port.path().join("name")).ok()?;
        (its_name.trim_end() == name).then(|| port.file_name().to_string_lossy().into_owned())
    })
}

/// An open port. Both directions must be polled by one task.
pub(super) struct PortStream {
    port: OwnedFd,
    changes: AsyncFd<OwnedFd>,
    state: State,
}

/// What the port last said, as far as no attempt has disproved it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    readable: bool,
    writable: bool,
    hung_up: bool,
}

impl State {
    fn of(flags: EventFlags) -> Self {
        Self {
            readable: flags.contains(EventFlags::IN),
            writable: flags.contains(EventFlags::OUT),
            hung_up: flags.intersects(EventFlags::HUP | EventFlags::RDHUP | EventFlags::ERR),
        }
    }
}

impl PortStream {
    pub(super) fn open(device: &Path) -> Result<Self, PortError> {
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        rustix::fs::open(device, flags, Mode::empty())
            .map_err(io::Error::from)
            .and_then(Self::new)
            .map_err(|error| PortError::Open(device.to_path_buf(), error))
    }

    fn new(port: OwnedFd) -> io::Result<Self> {
        let inner = epoll::create(CreateFlags::CLOEXEC)?;
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&inner, &port, EventData::new_u64(0), flags)?;
        Ok(Self {
            port,
            changes: sys::watched(inner, Interest::READABLE)?,
            state: State::default(),
        })
    }

    /// Resolves once a program of the host is connected.
    pub(super) async fn connected(&mut self) -> io::Result<()> {
        std::future::poll_fn(|context| {
            while !self.state.writable || self.state.hung_up {
                ready!(self.poll_change(context))?;
            }
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Ready when the port's state was told anew.
    fn poll_change(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.changes.poll_read_ready(context))?;
            let mut events = Vec::with_capacity(1);
            let timeout = rustix::event::Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            };
            epoll::wait(
                guard.get_inner(),
                rustix::buffer::spare_capacity(&mut events),
                Some(&timeout),
            )?;
            // There is one descriptor inside, so nothing is left. A change from here on sets the readiness again.
            guard.clear_ready();
            if let Some(event) = events.first() {
                let flags = event.flags;
                self.state = State::of(flags);
                // The one that waits for the other direction must look too, and it has been polled already.
                context.waker().wake_by_ref();
                return Poll::Ready(Ok(()));
            }
        }
    }
}

fn hung_up() -> io::Error {
    io::Error::new(
        io::ErrorKind::ConnectionReset,
        "The host's side of the port was closed",
    )
}

impl AsyncRead for PortStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if !self.state.readable {
                if self.state.hung_up {
                    return Poll::Ready(Err(hung_up()));
                }
                ready!(self.poll_change(context))?;
                continue;
            }
            match rustix::io::read(&self.port, buffer.initialize_unfilled()) {
                Ok(0) if buffer.remaining() > 0 => return Poll::Ready(Err(hung_up())),
                Ok(length) => {
                    buffer.advance(length);
                    return Poll::Ready(Ok(()));
                }
                Err(Errno::AGAIN) => self.state.readable = false,
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }
}

impl AsyncWrite for PortStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            if self.state.hung_up {
                return Poll::Ready(Err(hung_up()));
            }
            if !self.state.writable {
                ready!(self.poll_change(context))?;
                continue;
            }
            match rustix::io::write(&self.port, bytes) {
                Ok(length) => return Poll::Ready(Ok(length)),
                Err(Errno::AGAIN) => self.state.writable = false,
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Closing the port is all there is.
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests;
