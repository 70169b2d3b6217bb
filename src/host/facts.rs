//! Facts about this host that decide defaults and limits.

use std::io;
use std::path::Path;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::sys;

/// The processor architectures that a machine can have.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// 64-bit x86.
    #[serde(rename = "x86_64")]
    X86_64,
    /// 64-bit Arm.
    Aarch64,
}

impl Architecture {
    /// The name that Rust, QEMU and Fedora use.
    pub fn rust_name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// The name that Go, podman and OCI images use.
    pub fn go_name(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
        }
    }
}

/// The architecture of this host, taken from that of this program.
pub fn architecture() -> Architecture {
    if std::env::consts::ARCH == "aarch64" {
        Architecture::Aarch64
    } else {
        Architecture::X86_64
    }
}

/// Memory of the host in MiB, 0 where the system does not say.
pub fn memory_mib() -> u64 {
    sys::memory_bytes() / (1024 * 1024)
}

/// Processors that this process may use, at least 1.
pub fn cpus() -> u32 {
    std::thread::available_parallelism()
        .map_or(1, |count| u32::try_from(count.get()).unwrap_or(u32::MAX))
}

/// The user's number; 1000 on Windows, which has none.
pub fn user_id() -> u32 {
    sys::user_id()
}

/// Whether this process has root's powers; never on Windows.
pub fn effective_root() -> bool {
    sys::effective_root()
}

/// A name for the time since the host's last boot.
///
/// Linux: the kernel's random boot id; where a sandbox hides it the time of the boot in seconds,
/// which a step of the clock changes (survivors are then not recognised, which is safe to say but
/// leaves them to be ended by hand). macOS: the boot session's id. Windows: the counter of boots; it
/// matters little there, as start times of processes are absolute. `unknown` as the last resort.
pub fn boot_id() -> String {
    static BOOT: OnceLock<String> = OnceLock::new();
    BOOT.get_or_init(|| sys::boot_id().unwrap_or_else(|| "unknown".to_owned()))
        .clone()
}

/// Bytes that the user can still write to the file system of `path`, which must exist.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    sys::free_bytes(path).map_err(|source| {
        io::Error::new(
            source.kind(),
            format!("Free space of `{}` is not known: {source}", path.display()),
        )
    })
}

/// Bytes of the whole file system of `path`, which must exist, used or free.
pub fn total_bytes(path: &Path) -> io::Result<u64> {
    sys::total_bytes(path).map_err(|source| {
        io::Error::new(
            source.kind(),
            format!(
                "The size of the file system of `{}` is not known: {source}",
                path.display()
            ),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_architectures() {
        let names = [Architecture::X86_64, Architecture::Aarch64]
            .map(|architecture| (architecture.rust_name(), architecture.go_name()));
        assert_eq!(names, [("x86_64", "amd64"), ("aarch64", "arm64")]);
        assert_eq!(architecture().rust_name(), std::env::consts::ARCH);
        for architecture in [Architecture::X86_64, Architecture::Aarch64] {
            let text = serde_json::to_string(&architecture).unwrap();
            assert_eq!(text, format!("\"{}\"", architecture.rust_name()));
        }
    }

    #[test]
    fn facts_of_this_host_are_plausible() {
        assert!(memory_mib() >= 256, "{}", memory_mib());
        assert!((1..=4096).contains(&cpus()));
        assert!(!boot_id().is_empty());
        let directory = tempfile::tempdir().unwrap();
        let free = free_bytes(directory.path()).unwrap();
        assert!(0 < free && free <= total_bytes(directory.path()).unwrap());
        total_bytes(&directory.path().join("missing")).unwrap_err();
        let error = free_bytes(&directory.path().join("missing")).unwrap_err();
        assert!(error.to_string().contains("missing"), "{error}");
    }
}
