//! Linux: `/dev/vhost-vsock` and `AF_VSOCK`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::ioctl::{Setter, ioctl, opcode};
use tokio_vsock::VsockListener;
use vsock::VMADDR_CID_ANY;

const DEVICE: &str = "/dev/vhost-vsock";
/// 0 to 2 are the hypervisor's, the guest's own and the host's.
const FIRST_CID: u32 = 3;
/// More machines than any host runs.
const TRIES: u32 = 1 << 16;
/// `VMADDR_PORT_ANY` of `linux/vm_sockets.h`.
const ANY_PORT: u32 = u32::MAX;
/// `VHOST_VSOCK_SET_GUEST_CID` of `linux/vhost.h`.
const SET_GUEST_CID: rustix::ioctl::Opcode = opcode::write::<u64>(0xAF, 0x60);

/// Whether virtual machines can have vsock by the kernel.
pub fn is_usable() -> bool {
    open().is_ok()
}

fn open() -> io::Result<fs_err::File> {
    fs_err::OpenOptions::new()
        .read(true)
        .write(true)
        .open(DEVICE)
}

/// The kernel's side of one guest's vsock, with a context id that nobody else has while this is open.
#[derive(Debug)]
pub struct Device {
    descriptor: OwnedFd,
    cid: u32,
}

impl Device {
    /// Takes the first context id that is free. The descriptor holds it, so there is no moment between finding it and
    /// having it.
    pub fn claim() -> io::Result<Self> {
        let descriptor: OwnedFd = open()?.into_file().into();
        let cid = first_free(|cid| set_cid(descriptor.as_fd(), cid))?;
        Ok(Self { descriptor, cid })
    }

    /// The guest's context id.
    pub fn cid(&self) -> u32 {
        self.cid
    }

    /// The descriptor, for the hypervisor.
    pub fn into_descriptor(self) -> OwnedFd {
        self.descriptor
    }
}

fn first_free(mut set: impl FnMut(u32) -> io::Result<()>) -> io::Result<u32> {
    for cid in FIRST_CID..FIRST_CID + TRIES {
        match set(cid) {
            Ok(()) => return Ok(cid),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(
        io::ErrorKind::AddrInUse,
        "Every context id for vsock is taken",
    ))
}

#[expect(
    unsafe_code,
    reason = "an ioctl is what its number says, which no type can check"
)]
fn set_cid(device: BorrowedFd<'_>, cid: u32) -> io::Result<()> {
    // SAFETY: this ioctl of the vhost-vsock device reads one u64 from the pointer it is given, which is what `Setter`
    // passes. On any other file it fails.
    unsafe { ioctl(device, Setter::<SET_GUEST_CID, u64>::new(u64::from(cid))) }
        .map_err(io::Error::from)
}

/// A port of the host that guests can dial. It needs no runtime until it is [served](Self::serve).
#[derive(Debug)]
pub struct Listener {
    listener: vsock::VsockListener,
    port: u32,
}

impl Listener {
    /// Binds this port, or one that is free.
    pub fn bind(port: Option<u32>) -> io::Result<Self> {
        let port = port.unwrap_or(ANY_PORT);
        let listener = vsock::VsockListener::bind_with_cid_port(VMADDR_CID_ANY, port)?;
        let port = listener.local_addr()?.port();
        Ok(Self { listener, port })
    }

    /// Its port.
    pub fn port(&self) -> u32 {
        self.port
    }

    /// Accepts in the runtime of the caller.
    pub fn serve(self) -> io::Result<Acceptor> {
        self.listener.set_nonblocking(true)?;
        let descriptor = OwnedFd::from(self.listener);
        Ok(Acceptor(VsockListener::from(descriptor)))
    }
}

/// A [`Listener`] that is served.
#[derive(Debug)]
pub struct Acceptor(VsockListener);

impl Acceptor {
    /// The next caller, with its context id. Cancel safe.
    pub async fn accept(&mut self) -> io::Result<(Stream, u32)> {
        let (stream, address) = self.0.accept().await?;
        Ok((stream, address.cid()))
    }
}

/// A connection.
pub type Stream = tokio_vsock::VsockStream;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_context_id_that_nobody_has_is_taken() {
        let taken = |cid| {
            let error = io::Error::from(io::ErrorKind::AddrInUse);
            if cid < 7 { Err(error) } else { Ok(()) }
        };
        assert_eq!(first_free(taken).unwrap(), 7);
        assert_eq!(first_free(|_| Ok(())).unwrap(), FIRST_CID);
        let mut tries = 0;
        let broken = first_free(|_| {
            tries += 1;
            Err(io::ErrorKind::PermissionDenied.into())
        });
        assert_eq!(broken.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(tries, 1, "what is no taken id is not tried again");
        let full = first_free(|_| Err(io::ErrorKind::AddrInUse.into()));
        assert!(full.unwrap_err().to_string().contains("Every context id"));
    }

    #[test]
    fn the_request_has_the_number_of_the_kernels_header() {
        assert_eq!(u64::from(SET_GUEST_CID), 0x4008_af60);
    }

    #[test]
    fn another_file_than_the_device_takes_no_context_id() {
        let null = fs_err::File::open("/dev/null").unwrap().into_file();
        assert!(set_cid(null.as_fd(), FIRST_CID).is_err());
    }
}
