//! The agent's only unsafe code: giving a descriptor to tokio's event loop.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Registers a descriptor with tokio.
#[expect(
    unsafe_code,
    reason = "tokio has no safe constructor that is not deprecated"
)]
pub(super) fn watched(descriptor: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` keeps its one descriptor open for as long as it lives, and the `AsyncFd` owns it. Nobody
    // exchanges it: the callers see it by shared reference only.
    let registered = unsafe { AsyncFd::register_with_interest(descriptor, interest) };
    registered.map_err(io::Error::from)
}
