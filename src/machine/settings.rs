//! What a new machine is like, settled from everything that has a say: flags, the environment, our file,
//! `containers.conf`, defaults, in this order. Each value knows where it comes from, so that an error can name it.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

use super::config::LOCAL_TIME_ZONE;
use super::provider_kind::UnknownProvider;
use super::resources::{ResourceError, Wish};
use super::time_zone::{self, TimeZoneError};
use super::{ProviderKind, name::NameError, volume};

/// The guest's user when none is asked for; podman's images have it.
pub const DEFAULT_USER: &str = "core";
/// Names the provider of new machines (spec 1.2).
pub const PROVIDER_VARIABLE: &str = "CONTAINERS_MACHINE_PROVIDER";
/// The most swap space, in MiB (1 TiB). More is a slip of the finger.
pub const LARGEST_SWAP_MIB: u64 = 1024 * 1024;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The command line.
    Flag,
    /// A variable of the environment.
    Variable(&'static str),
    /// Our configuration file.
    OwnFile(PathBuf),
    /// One of the files of `containers.conf`.
    ContainersConf,
    /// Nobody said anything.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => formatter.write_str("the command line"),
            Self::Variable(name) => write!(formatter, "the variable {name}"),
            Self::OwnFile(path) => write!(formatter, "`{}`", path.display()),
            Self::ContainersConf => formatter.write_str("containers.conf"),
            Self::Default => formatter.write_str("the defaults"),
        }
    }
}

/// A value and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting<T> {
    /// The value.
    pub value: T,
    /// Where it comes from.
    pub origin: Origin,
}

/// What one source says; everything may be left open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Virtual CPUs.
    pub cpus: Option<u64>,
    /// Memory in MiB.
    pub memory_mib: Option<u64>,
    /// Disk in GiB.
    pub disk_gib: Option<u64>,
    /// The image.
    pub image: Option<String>,
    /// The user in the guest.
    pub user: Option<String>,
    /// The word for the provider.
    pub provider: Option<String>,
    /// Whether the API socket is the engine of root.
    pub rootful: Option<bool>,
    /// The guest's time zone.
    pub time_zone: Option<String>,
    /// Compressed swap space in MiB.
    pub swap_mib: Option<u64>,
    /// Whether the guest trusts the host's certificate authorities.
    pub import_native_ca: Option<bool>,
    /// Folders of the host in the guest, variables unexpanded.
    pub volumes: Option<Vec<String>>,
}

/// A source and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The source.
    pub origin: Origin,
    /// What it says.
    pub wishes: Wishes,
}

/// What was settled. What is `None` depends on the host or the image and gets its default there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Virtual CPUs.
    pub cpus: Option<Setting<u64>>,
    /// Memory in MiB.
    pub memory_mib: Option<Setting<u64>>,
    /// Disk in GiB.
    pub disk_gib: Option<Setting<u64>>,
    /// The image.
    pub image: Option<Setting<String>>,
    /// The provider's word.
    pub provider: Option<Setting<String>>,
    /// The user in the guest.
    pub user: Setting<String>,
    /// Whether the API socket is the engine of root.
    pub rootful: Setting<bool>,
    /// The guest's time zone.
    pub time_zone: Setting<String>,
    /// Compressed swap space in MiB.
    pub swap_mib: Setting<u64>,
    /// Whether the guest trusts the host's certificate authorities.
    pub import_native_ca: Setting<bool>,
    /// Folders of the host in the guest, variables unexpanded; an empty text is none.
    pub volumes: Setting<Vec<String>>,
}

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SettingError {
    /// `--provider` with anything but the exact word of a provider of this host (spec 1.4.1, check 3).
    #[error("unsupported provider \"{0}\"")]
    ProviderFlag(String),
    /// The environment or a file names no provider (spec 0).
    #[error("{unknown}")]
    UnknownProvider {
        /// The word.
        unknown: UnknownProvider,
        /// Who says so.
        origin: Origin,
    },
    /// The environment or a file names a provider that this host lacks (spec 0).
    #[error("unsupported virtualization provider: `{kind}`")]
    UnsupportedProvider {
        /// The provider.
        kind: ProviderKind,
        /// Who says so.
        origin: Origin,
    },
    /// A time zone that cannot be one.
    #[error("{error}")]
    TimeZone {
        /// What is wrong with it.
        error: TimeZoneError,
        /// Who says so.
        origin: Origin,
    },
    /// More swap space than anybody has.
    #[error("requested amount of swap ({wanted} MB) greater than the maximum of {largest} MB", largest = LARGEST_SWAP_MIB)]
    Swap {
        /// Asked for, in MiB.
        wanted: u64,
        /// Who says so.
        origin: Origin,
    },
}

impl SettingError {
    /// What the user can do about it.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::ProviderFlag(_) => Vec::new(),
            Self::UnknownProvider { origin, .. } | Self::UnsupportedProvider { origin, .. } => {
                vec![format!("the provider is named by {origin}")]
            }
            Self::TimeZone { error, origin } => error
                .hints()
                .into_iter()
                .chain(blame("time zone", origin))
                .collect(),
            Self::Swap { origin, .. } => blame("swap", origin).into_iter().collect(),
        }
    }
}

/// Who set a value, if it was not the command line that the user sees anyway.
fn blame(what: &str, origin: &Origin) -> Option<String> {
    match origin {
        Origin::Flag | Origin::Default => None,
        origin => Some(format!("the {what} is set by {origin}")),
    }
}

impl Settings {
    /// Settles from sources, the one that counts most first.
    pub fn resolve(layers: &[Layer]) -> Self {
        Self {
            cpus: first(layers, |wishes| wishes.cpus),
            memory_mib: first(layers, |wishes| wishes.memory_mib),
            disk_gib: first(layers, |wishes| wishes.disk_gib),
            image: first(layers, |wishes| wishes.image.clone()),
            provider: first(layers, |wishes| {
                // Podman takes an empty word for none.
                wishes.provider.clone().filter(|word| !word.is_empty())
            }),
            user: or(
                first(layers, |wishes| wishes.user.clone()),
                DEFAULT_USER.to_owned(),
            ),
            rootful: or(first(layers, |wishes| wishes.rootful), false),
            time_zone: or(
                first(layers, |wishes| wishes.time_zone.clone()),
                LOCAL_TIME_ZONE.to_owned(),
            ),
            swap_mib: or(first(layers, |wishes| wishes.swap_mib), 0),
            import_native_ca: or(first(layers, |wishes| wishes.import_native_ca), false),
            volumes: or(
                first(layers, |wishes| wishes.volumes.clone()),
                volume::defaults(std::env::consts::OS),
            ),
        }
    }

    /// What is asked for of the host.
    pub fn wish(&self) -> Wish {
        let value = |setting: &Option<Setting<u64>>| setting.as_ref().map(|setting| setting.value);
        Wish {
            // A number that does not fit is more than any host has, which is what the check then says.
            cpus: value(&self.cpus).map(|cpus| u32::try_from(cpus).unwrap_or(u32::MAX)),
            memory_mib: value(&self.memory_mib),
            disk_gib: value(&self.disk_gib),
        }
    }

    /// The provider, of those that this host has; the first of them where nothing is said.
    pub fn provider(&self, supported: &[ProviderKind]) -> Result<ProviderKind, SettingError> {
        let Some(Setting { value, origin }) = &self.provider else {
            return Ok(supported.first().copied().unwrap_or_default());
        };
        if *origin == Origin::Flag {
            let exact = supported.iter().find(|kind| kind.word() == value);
            return exact
                .copied()
                .ok_or_else(|| SettingError::ProviderFlag(value.clone()));
        }
        let kind =
            value
                .parse::<ProviderKind>()
                .map_err(|unknown| SettingError::UnknownProvider {
                    unknown,
                    origin: origin.clone(),
                })?;
        if supported.contains(&kind) {
            Ok(kind)
        } else {
            Err(SettingError::UnsupportedProvider {
                kind,
                origin: origin.clone(),
            })
        }
    }

    /// Checks what no type holds and nobody else checks.
    pub fn check(&self) -> Result<(), SettingError> {
        time_zone::check(&self.time_zone.value).map_err(|error| SettingError::TimeZone {
            error,
            origin: self.time_zone.origin.clone(),
        })?;
        if self.swap_mib.value > LARGEST_SWAP_MIB {
            return Err(SettingError::Swap {
                wanted: self.swap_mib.value,
                origin: self.swap_mib.origin.clone(),
            });
        }
        Ok(())
    }

    /// Who set the value that this error is about, if it was not the command line.
    pub fn blame_resource(&self, error: &ResourceError) -> Option<String> {
        let (what, setting) = match error {
            ResourceError::TooMuchMemory { .. } | ResourceError::TooLittleMemory { .. } => {
                ("memory", &self.memory_mib)
            }
            ResourceError::TooManyCpus { .. } | ResourceError::NoCpu => {
                ("number of CPUs", &self.cpus)
            }
            ResourceError::DiskOutOfRange { .. } | ResourceError::DiskBeyondHost { .. } => {
                ("disk size", &self.disk_gib)
            }
        };
        blame(what, &setting.as_ref()?.origin)
    }

    /// Who set the folders, if it was not the command line.
    pub fn blame_volumes(&self) -> Option<String> {
        blame("list of volumes", &self.volumes.origin)
    }

    /// Who set this image, if it was not the command line.
    pub fn blame_image(&self, image: &str) -> Option<String> {
        let configured = self.image.as_ref()?;
        (configured.value == image).then(|| blame("image", &configured.origin))?
    }

    /// Who set the user that this error is about, if it was not the command line.
    pub fn blame_name(&self, error: &NameError) -> Option<String> {
        match error {
            NameError::UserCharacters(_) => blame("user", &self.user.origin),
            _ => None,
        }
    }
}

fn first<T>(layers: &[Layer], wish: impl Fn(&Wishes) -> Option<T>) -> Option<Setting<T>> {
    layers.iter().find_map(|layer| {
        wish(&layer.wishes).map(|value| Setting {
            value,
            origin: layer.origin.clone(),
        })
    })
}

fn or<T>(setting: Option<Setting<T>>, default: T) -> Setting<T> {
    setting.unwrap_or(Setting {
        value: default,
        origin: Origin::Default,
    })
}

#[cfg(test)]
mod tests;
