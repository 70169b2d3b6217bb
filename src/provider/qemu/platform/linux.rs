//! Linux: KVM, and QEMU's own seccomp filter.

mod unblock;

use std::io;

use machine_host::vsock::Device;

use super::Inherited;
use crate::provider::Accelerator;

pub(in crate::provider::qemu) use unblock::unblock;

/// What is tried before emulation.
pub(in crate::provider::qemu) const ACCELERATORS: &[Accelerator] = &[Accelerator::Kvm];
/// Whether QEMU can confine itself.
pub(in crate::provider::qemu) const SANDBOX: bool = true;

const KVM: &str = "/dev/kvm";

/// Why an accelerator need not even be tried.
pub(in crate::provider::qemu) fn obvious_obstacle(accelerator: Accelerator) -> Option<String> {
    if accelerator != Accelerator::Kvm {
        return None;
    }
    match fs_err::OpenOptions::new().read(true).write(true).open(KVM) {
        Ok(_) => None,
        Err(error) => Some(describe(&error)),
    }
}

fn describe(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => format!(
            "`{KVM}` does not exist; virtualization may be switched off in the firmware, or this host is itself a \
             virtual machine without nested virtualization"
        ),
        io::ErrorKind::PermissionDenied => format!(
            "`{KVM}` may not be opened; `sudo usermod -aG kvm $USER` and a new login allow it"
        ),
        _ => format!("`{KVM}` cannot be opened: {error}"),
    }
}

/// The kernel's vsock device as something that a child inherits.
pub(in crate::provider::qemu) fn inherit_device(device: Device) -> Inherited {
    Inherited(device.into_descriptor())
}

/// What the kernel and the processor are, as far as a verdict on an accelerator depends on it.
pub(in crate::provider::qemu) fn kernel_and_processor() -> (String, String) {
    let kernel = fs_err::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let processor = fs_err::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processor
        .lines()
        .find(|line| line.starts_with("model name") || line.starts_with("CPU part"))
        .and_then(|line| line.split_once(':'))
        .map_or("", |(_, value)| value.trim());
    (kernel.trim().to_owned(), model.to_owned())
}

/// The identification of the distribution, in the format of os-release.
pub(in crate::provider::qemu) fn os_release() -> String {
    fs_err::read_to_string("/etc/os-release").unwrap_or_default()
}

#[cfg(test)]
mod launch_tests;
#[cfg(test)]
mod probe_tests;
#[cfg(test)]
mod virtiofs_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn obstacles_say_what_to_do() {
        let denied = describe(&io::ErrorKind::PermissionDenied.into());
        assert!(denied.contains("usermod -aG kvm"), "{denied}");
        let missing = describe(&io::ErrorKind::NotFound.into());
        assert!(missing.contains("`/dev/kvm` does not exist"), "{missing}");
        let other = describe(&io::ErrorKind::Other.into());
        assert!(other.contains("cannot be opened"), "{other}");
    }

    #[test]
    fn kernel_is_known() {
        assert!(!kernel_and_processor().0.is_empty());
    }
}
