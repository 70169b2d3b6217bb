//! macOS: the hypervisor framework. Only arguments are made for it so far.

use std::io;
use std::path::Path;

use machine_host::vsock::Device;

use super::Inherited;
use crate::provider::Accelerator;

/// Nothing is launched here yet that would have to be kept from waiting.
#[expect(clippy::unnecessary_wraps, reason = "on the other systems it can fail")]
pub(in crate::provider::qemu) fn unblock(_process: u32, _place: &Path) -> io::Result<()> {
    Ok(())
}

/// What is tried before emulation.
pub(in crate::provider::qemu) const ACCELERATORS: &[Accelerator] = &[Accelerator::Hvf];
/// Whether QEMU can confine itself.
pub(in crate::provider::qemu) const SANDBOX: bool = false;

/// Why an accelerator need not even be tried.
pub(in crate::provider::qemu) fn obvious_obstacle(_accelerator: Accelerator) -> Option<String> {
    None
}

/// There is no such device.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the other system consumes it"
)]
pub(in crate::provider::qemu) fn inherit_device(device: Device) -> Inherited {
    match device {}
}

/// The boot alone decides here.
pub(in crate::provider::qemu) fn kernel_and_processor() -> (String, String) {
    (String::new(), String::new())
}

/// There is one distribution.
pub(in crate::provider::qemu) fn os_release() -> String {
    "ID=macos\n".to_owned()
}
