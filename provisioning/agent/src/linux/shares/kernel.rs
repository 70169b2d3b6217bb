//! What is asked of the kernel, so that tests can do without it.

use std::io;
use std::path::Path;

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};

use super::mounts::Call;

/// The kernel's part.
pub(super) trait Kernel: Send + Sync + 'static {
    /// What is mounted, as in `/proc/self/mountinfo`.
    fn mounts(&self) -> io::Result<Vec<u8>>;
    /// Mounts something.
    fn mount(&self, call: &Call, place: &Path) -> io::Result<()>;
    /// Lets nobody write there from now on.
    fn make_read_only(&self, place: &Path) -> io::Result<()>;
    /// Takes away what is mounted last there, at once.
    fn unmount(&self, place: &Path) -> io::Result<()>;
}

/// The guest's own.
#[derive(Debug)]
pub(super) struct Linux;

impl Kernel for Linux {
    fn mounts(&self) -> io::Result<Vec<u8>> {
        fs_err::read("/proc/self/mountinfo")
    }

    fn mount(&self, call: &Call, place: &Path) -> io::Result<()> {
        let Call {
            source,
            kind,
            flags,
            data,
        } = call;
        Ok(mount(source, place, *kind, *flags, data.as_c_str())?)
    }

    fn make_read_only(&self, place: &Path) -> io::Result<()> {
        Ok(mount_remount(
            place,
            super::mounts::PLAIN | MountFlags::RDONLY,
            c"",
        )?)
    }

    fn unmount(&self, place: &Path) -> io::Result<()> {
        Ok(unmount(place, UnmountFlags::DETACH)?)
    }
}
