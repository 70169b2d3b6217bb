//! What operations ask of the host that they run on.

#[cfg(unix)]
#[path = "host/unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "host/windows.rs"]
mod platform;

use std::io;
use std::path::{Path, PathBuf};

use machine_host::facts;

pub(super) use self::platform::allocated_bytes;
use crate::hostfacts;
use crate::machine::ProviderKind;
use crate::machine::resources::HostResources;
use crate::provider::registry;

/// What the host is like.
#[derive(Clone, Copy, Debug)]
pub struct Host {
    /// CPUs and memory.
    pub resources: HostResources,
    /// The number of the user; 0 is root.
    pub user_id: u32,
    /// The free space of the file system with this directory.
    pub free_bytes: fn(&Path) -> io::Result<u64>,
    /// The whole size of the file system with this directory.
    pub total_bytes: fn(&Path) -> io::Result<u64>,
}

impl Host {
    /// This host.
    pub fn detect() -> Self {
        Self {
            resources: HostResources {
                cpus: facts::cpus(),
                memory_mib: facts::memory_mib(),
            },
            user_id: facts::user_id(),
            free_bytes: facts::free_bytes,
            total_bytes: facts::total_bytes,
        }
    }
}

/// A host of a test, with room for anything.
#[cfg(test)]
pub(super) fn spacious() -> Host {
    Host {
        resources: HostResources {
            cpus: 4,
            memory_mib: 8000,
        },
        user_id: 4711,
        free_bytes: |_| Ok(u64::MAX),
        total_bytes: |_| Ok(u64::MAX),
    }
}

/// The providers that this host has, the default first (spec 0).
pub fn providers() -> Vec<ProviderKind> {
    registry::kinds()
}

/// Where programs are looked for before `PATH`, as a start of this process would.
pub fn program_directories() -> Vec<PathBuf> {
    hostfacts::Host::of_this_process().program_directories(&hostfacts::environment)
}
