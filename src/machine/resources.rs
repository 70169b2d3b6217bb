//! What a machine gets of its host, with the defaults and the bounds.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The least memory when none is asked for, in MiB, as podman gives it to every machine (spec 1.3).
pub const DEFAULT_MEMORY_MIB: u64 = 2048;
/// The most memory when none is asked for, in MiB.
pub const LARGEST_DEFAULT_MEMORY_MIB: u64 = 8192;
/// The default memory is a multiple of this, in MiB.
const MEMORY_STEP_MIB: u64 = 256;
/// Disk when none is asked for, in GiB.
pub const DEFAULT_DISK_GIB: u64 = 100;
/// The least memory, in MiB. Less does not hold a kernel, systemd and an engine.
pub const LEAST_MEMORY_MIB: u64 = 512;
/// The least disk, in GiB.
pub const LEAST_DISK_GIB: u64 = 1;
/// The least size of the disk with the operating system, in bytes, where what the engines keep is on another one. The file
/// is sparse, so the number costs the host nothing; the guest has room in it for two releases of Fedora CoreOS (which wants
/// 10 GiB), for what a user puts into the home directory, and for logs.
pub const OS_DISK_BYTES: u64 = 20 * GIB;
/// The largest disk, in GiB (64 TiB). Larger is a slip of the finger, and its size in bytes must not overflow.
pub const LARGEST_DISK_GIB: u64 = 64 * 1024;

const GIB: u64 = 1 << 30;

/// What a machine gets of its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Virtual CPUs.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Disk in GiB.
    pub disk_gib: u64,
}

/// What was asked for; what was not asked for gets its default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Virtual CPUs.
    pub cpus: Option<u32>,
    /// Memory in MiB.
    pub memory_mib: Option<u64>,
    /// Disk in GiB.
    pub disk_gib: Option<u64>,
}

/// The host's side of the bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostResources {
    /// Logical CPUs.
    pub cpus: u32,
    /// Memory in MiB, 0 where the system does not say.
    pub memory_mib: u64,
}

impl HostResources {
    /// Memory when none is asked for, in MiB: a quarter of the host's, at least podman's 2 GiB, at most 8 GiB, but never
    /// more than half of the host's.
    pub fn default_memory_mib(&self) -> u64 {
        if self.memory_mib == 0 {
            return DEFAULT_MEMORY_MIB;
        }
        let quarter = self.memory_mib / 4 / MEMORY_STEP_MIB * MEMORY_STEP_MIB;
        quarter
            .clamp(DEFAULT_MEMORY_MIB, LARGEST_DEFAULT_MEMORY_MIB)
            .min(self.memory_mib / 2)
            .max(LEAST_MEMORY_MIB)
    }

    /// Whether the host is so small that the default memory is less than podman's.
    pub fn clamps_default_memory(&self) -> bool {
        self.default_memory_mib() < DEFAULT_MEMORY_MIB
    }
}

/// Why a machine cannot have what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ResourceError {
    /// More memory than the host has.
    #[error(
        "requested amount of memory ({wanted} MB) greater than total system memory ({available} MB)"
    )]
    TooMuchMemory {
        /// Asked for, in MiB.
        wanted: u64,
        /// The host's, in MiB.
        available: u64,
    },
    /// More CPUs than the host has.
    #[error("requested number of CPUs ({wanted}) greater than number of host CPUs ({available})")]
    TooManyCpus {
        /// Asked for.
        wanted: u32,
        /// The host's.
        available: u32,
    },
    /// Less memory than a guest needs.
    #[error("requested amount of memory ({wanted} MB) smaller than the minimum of {least} MB", least = LEAST_MEMORY_MIB)]
    TooLittleMemory {
        /// Asked for, in MiB.
        wanted: u64,
    },
    /// No CPU.
    #[error("requested number of CPUs (0) smaller than the minimum of 1")]
    NoCpu,
    /// A disk that can hold nothing, or is beyond what disk formats hold.
    #[error(
        "requested disk size ({wanted} GB) outside the range of {least} to {largest} GB",
        least = LEAST_DISK_GIB, largest = LARGEST_DISK_GIB
    )]
    DiskOutOfRange {
        /// Asked for, in GiB.
        wanted: u64,
    },
    /// A disk that the host could not hold if there were nothing else on it.
    #[error(
        "requested disk size ({wanted} GB) greater than the host's file system ({available} GB)"
    )]
    DiskBeyondHost {
        /// Asked for, in GiB.
        wanted: u64,
        /// The whole file system in GiB, rounded down.
        available: u64,
    },
}

impl ResourceError {
    /// What the user can do about it.
    pub fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::TooMuchMemory { available, .. } => {
                format!("give at most `--memory {available}`, in MiB")
            }
            Self::TooManyCpus { available, .. } => format!("give at most `--cpus {available}`"),
            Self::TooLittleMemory { .. } => {
                format!("give at least `--memory {LEAST_MEMORY_MIB}`, in MiB")
            }
            Self::NoCpu => "give at least `--cpus 1`".to_owned(),
            Self::DiskOutOfRange { .. } => {
                format!("`--disk-size` is in GiB; the default is {DEFAULT_DISK_GIB}")
            }
            Self::DiskBeyondHost { available, .. } => {
                format!("give at most `--disk-size {available}`, in GiB")
            }
        };
        vec![hint]
    }
}

impl Resources {
    /// Settles everything but the disk, in podman's order: memory, then CPUs.
    ///
    /// Whatever is not asked for gets its default: half of the host's CPUs, [`HostResources::default_memory_mib`],
    /// 100 GiB of disk.
    pub fn settle(wish: &Wish, host: &HostResources) -> Result<Self, ResourceError> {
        let settled = Self {
            cpus: wish.cpus.unwrap_or_else(|| (host.cpus / 2).max(1)),
            memory_mib: wish.memory_mib.unwrap_or_else(|| host.default_memory_mib()),
            disk_gib: wish.disk_gib.unwrap_or(DEFAULT_DISK_GIB),
        };
        if host.memory_mib > 0 && settled.memory_mib > host.memory_mib {
            return Err(ResourceError::TooMuchMemory {
                wanted: settled.memory_mib,
                available: host.memory_mib,
            });
        }
        if settled.cpus > host.cpus {
            return Err(ResourceError::TooManyCpus {
                wanted: settled.cpus,
                available: host.cpus,
            });
        }
        settled.check_bounds()?;
        Ok(settled)
    }

    /// The bounds that hold on every host; a file edited by hand is held to them too.
    pub fn check_bounds(&self) -> Result<(), ResourceError> {
        if self.memory_mib < LEAST_MEMORY_MIB {
            return Err(ResourceError::TooLittleMemory {
                wanted: self.memory_mib,
            });
        }
        if self.cpus == 0 {
            return Err(ResourceError::NoCpu);
        }
        if !(LEAST_DISK_GIB..=LARGEST_DISK_GIB).contains(&self.disk_gib) {
            return Err(ResourceError::DiskOutOfRange {
                wanted: self.disk_gib,
            });
        }
        Ok(())
    }

    /// The disk's size in bytes.
    pub fn disk_bytes(&self) -> u64 {
        self.disk_gib.saturating_mul(GIB)
    }
}

/// Refuses a disk of so many GiB on a file system of `total_bytes`; one of 0 bytes says nothing.
pub fn check_disk_fits(wanted: u64, total_bytes: u64) -> Result<(), ResourceError> {
    if total_bytes == 0 || wanted.saturating_mul(GIB) <= total_bytes {
        return Ok(());
    }
    Err(ResourceError::DiskBeyondHost {
        wanted,
        available: total_bytes / GIB,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOST: HostResources = HostResources {
        cpus: 4,
        memory_mib: 8000,
    };

    fn refusal(wish: Wish) -> String {
        Resources::settle(&wish, &HOST).unwrap_err().to_string()
    }

    #[test]
    fn defaults_are_podmans() {
        assert_eq!(
            Resources::settle(&Wish::default(), &HOST),
            Ok(Resources {
                cpus: 2,
                memory_mib: 2048,
                disk_gib: 100
            })
        );
        let small = HostResources {
            cpus: 1,
            memory_mib: 4096,
        };
        assert_eq!(Resources::settle(&Wish::default(), &small).unwrap().cpus, 1);
    }

    #[test]
    fn texts_are_podmans_and_memory_comes_first() {
        let wish = Wish {
            cpus: Some(9),
            memory_mib: Some(9000),
            disk_gib: Some(0),
        };
        assert_eq!(
            refusal(wish),
            "requested amount of memory (9000 MB) greater than total system memory (8000 MB)"
        );
        assert_eq!(
            refusal(Wish {
                memory_mib: None,
                ..wish
            }),
            "requested number of CPUs (9) greater than number of host CPUs (4)"
        );
    }

    #[test]
    fn the_default_memory_follows_the_host() {
        for (host, expected, clamped) in [
            (0, 2048, false),
            (700, 512, true),
            (1024, 512, true),
            (3000, 1500, true),
            (4096, 2048, false),
            (8000, 2048, false),
            (16_000, 3840, false),
            (24_100, 5888, false),
            (65_536, 8192, false),
            (1 << 40, 8192, false),
        ] {
            let host = HostResources {
                cpus: 1,
                memory_mib: host,
            };
            assert_eq!(host.default_memory_mib(), expected, "{host:?}");
            assert_eq!(host.clamps_default_memory(), clamped, "{host:?}");
        }
        let tiny = HostResources {
            cpus: 1,
            memory_mib: 500,
        };
        assert!(matches!(
            Resources::settle(&Wish::default(), &tiny),
            Err(ResourceError::TooMuchMemory { wanted: 512, .. })
        ));
    }

    #[test]
    fn nothing_and_too_much_are_refused() {
        let wish = Wish::default();
        assert!(
            refusal(Wish {
                cpus: Some(0),
                ..wish
            })
            .contains("minimum of 1")
        );
        assert!(
            refusal(Wish {
                memory_mib: Some(511),
                ..wish
            })
            .contains("minimum of 512")
        );
        for disk_gib in [0, LARGEST_DISK_GIB + 1, u64::MAX] {
            assert!(
                refusal(Wish {
                    disk_gib: Some(disk_gib),
                    ..wish
                })
                .contains("outside the range")
            );
        }
    }

    #[test]
    fn a_disk_fits_the_whole_file_system() {
        for (wanted, total) in [
            (10, 10 * GIB),
            (1, GIB),
            (10, u64::MAX),
            (u64::MAX, u64::MAX),
        ] {
            assert_eq!(check_disk_fits(wanted, total), Ok(()), "{wanted} {total}");
        }
        let error = check_disk_fits(10, 10 * GIB - 1).unwrap_err();
        assert_eq!(
            error.to_string(),
            "requested disk size (10 GB) greater than the host's file system (9 GB)"
        );
        assert_eq!(error.hints(), ["give at most `--disk-size 9`, in GiB"]);
        check_disk_fits(u64::MAX, 10 * GIB).unwrap_err();
        // A file system that tells nothing, such as one of a network.
        assert_eq!(check_disk_fits(10, 0), Ok(()));
    }

    proptest! {
        #[test]
        fn what_is_settled_fits_the_host(
            cpus in proptest::option::of(any::<u32>()),
            memory_mib in proptest::option::of(any::<u64>()),
            disk_gib in proptest::option::of(any::<u64>()),
            host_cpus in 1_u32..512, host_memory in 1_u64..1 << 40,
        ) {
            let wish = Wish { cpus, memory_mib, disk_gib };
            let host = HostResources { cpus: host_cpus, memory_mib: host_memory };
            if let Ok(settled) = Resources::settle(&wish, &host) {
                prop_assert!((1..=host_cpus).contains(&settled.cpus));
                prop_assert!((LEAST_MEMORY_MIB..=host_memory).contains(&settled.memory_mib));
                prop_assert_eq!(settled.disk_bytes() / GIB, settled.disk_gib);
            }
        }
    }
}
