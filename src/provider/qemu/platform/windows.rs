//! Windows: nothing is launched there yet.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::windows::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::process::Command;

use machine_host::companion::Connection;
use machine_host::vsock::Device;

use crate::provider::Accelerator;

/// Not supported yet.
pub(in crate::provider::qemu) fn unblock(_process: u32, _place: &Path) -> io::Result<()> {
    Err(unsupported())
}

/// What is tried before emulation.
pub(in crate::provider::qemu) const ACCELERATORS: &[Accelerator] = &[Accelerator::Whpx];
/// Whether QEMU can confine itself.
pub(in crate::provider::qemu) const SANDBOX: bool = false;
/// Descriptors are not inherited by number here.
pub(in crate::provider::qemu) const FIRST_FD: i32 = 0;

/// A stream that nothing makes yet; the type is that of a pipe within the process.
pub(in crate::provider::qemu) type Stream = tokio::io::DuplexStream;
/// What a child would inherit; nothing makes it yet.
#[derive(Debug)]
pub(in crate::provider::qemu) enum Inherited {}

fn unsupported() -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        "QEMU machines are not supported on Windows yet",
    )
}

/// Not supported yet.
pub(in crate::provider::qemu) fn listen(_path: &Path) -> io::Result<Inherited> {
    Err(unsupported())
}

/// Nothing makes one yet.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the other system consumes it"
)]
pub(in crate::provider::qemu) fn inherit_connection(connection: Connection) -> Inherited {
    match connection {}
}

/// Not supported yet.
pub(in crate::provider::qemu) fn to_inherit(_stream: Stream) -> io::Result<Inherited> {
    Err(unsupported())
}

/// There is no such device.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the other system consumes it"
)]
pub(in crate::provider::qemu) fn inherit_device(device: Device) -> Inherited {
    match device {}
}

/// Not supported yet.
pub(in crate::provider::qemu) fn inherit(
    _command: &mut Command,
    _descriptors: Vec<Inherited>,
) -> io::Result<()> {
    Err(unsupported())
}

/// Not supported yet.
#[expect(clippy::unused_async, reason = "the other systems wait here")]
pub(in crate::provider::qemu) async fn connect(_path: &Path) -> io::Result<Stream> {
    Err(unsupported())
}

/// Why an accelerator need not even be tried.
pub(in crate::provider::qemu) fn obvious_obstacle(_accelerator: Accelerator) -> Option<String> {
    None
}

/// The boot alone decides here.
pub(in crate::provider::qemu) fn kernel_and_processor() -> (String, String) {
    (String::new(), String::new())
}

/// There are no distributions.
pub(in crate::provider::qemu) fn os_release() -> String {
    "ID=windows\n".to_owned()
}

/// The pieces of a text between its commas.
pub(in crate::provider::qemu) fn split_at_commas(text: &OsStr) -> Vec<OsString> {
    let units: Vec<u16> = text.encode_wide().collect();
    units
        .split(|unit| *unit == u16::from(b','))
        .map(OsString::from_wide)
        .collect()
}
