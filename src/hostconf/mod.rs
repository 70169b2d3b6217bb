//! What the host's owner and the user have configured: `containers.conf`, which podman and we share, and our own file.
//!
//! Everything is read when a command needs it and never written. A broken file stops the commands that need it and no
//! other; the error names the file, the line and what to do.
//!
//! * [`containers`]: the keys of `containers.conf` that concern machines and connections.
//! * [`own`]: the configuration file of `machine` itself.
//! * [`locations`]: where the files lie; `layers`: how several become one; `document`: TOML with line numbers.

pub mod containers;
mod document;
mod error;
mod layers;
pub mod locations;
pub mod own;

#[cfg(unix)]
#[path = "unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "windows.rs"]
mod platform;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use machine_host::directories::Directories;
use machine_host::facts;

pub use self::containers::{ContainersConf, Destination};
pub use self::error::HostConfError;
use self::locations::Locations;
use crate::machine::settings::{Layer, Origin, PROVIDER_VARIABLE, Wishes};

/// The environment, as a function that tests can replace.
pub type Environment<'e> = dyn Fn(&str) -> Option<OsString> + 'e;

/// The configuration files of this user on this host; nothing is read before it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostConf {
    containers: Locations,
    own: PathBuf,
}

impl HostConf {
    /// Finds the files by the environment. Nothing is looked at.
    pub fn locate(directories: &Directories, env: &Environment<'_>) -> Self {
        Self {
            containers: Locations::locate(
                platform::CONVENTION,
                &directories.home,
                facts::user_id(),
                env,
            ),
            own: directories.config_file.clone(),
        }
    }

    /// The files of one directory, for tests: `containers.conf` and `config.toml`.
    pub fn in_directory(directory: &Path) -> Self {
        Self {
            containers: Locations::only(directory.join("containers.conf")),
            own: directory.join("config.toml"),
        }
    }

    /// Reads `containers.conf` in all its places. Files that are not there are no error.
    pub fn containers(&self) -> Result<ContainersConf, HostConfError> {
        containers::read(&self.containers)
    }

    /// Reads the configuration file of `machine`. Without one everything is unset.
    pub fn own(&self) -> Result<own::Settings, HostConfError> {
        own::read(&self.own)
    }

    /// What has a say in what new machines are like, behind flags, the most important first.
    pub fn layers(&self, env: &Environment<'_>) -> Result<Vec<Layer>, HostConfError> {
        let variable = env(PROVIDER_VARIABLE).map(|value| value.to_string_lossy().into_owned());
        let own = self.own()?;
        Ok(vec![
            Layer {
                origin: Origin::Variable(PROVIDER_VARIABLE),
                wishes: Wishes {
                    provider: variable,
                    ..Wishes::default()
                },
            },
            Layer {
                origin: Origin::OwnFile(self.own.clone()),
                wishes: Wishes::from(&own),
            },
            Layer {
                origin: Origin::ContainersConf,
                wishes: Wishes::from(&self.containers()?),
            },
        ])
    }

    /// The places of `containers.conf`, lowest first.
    pub fn locations(&self) -> &Locations {
        &self.containers
    }

    /// The configuration file of `machine`.
    pub fn own_file(&self) -> &Path {
        &self.own
    }
}

/// Reads `containers.conf` of the user whose environment is `env`.
pub fn load(
    directories: &Directories,
    env: &Environment<'_>,
) -> Result<ContainersConf, HostConfError> {
    HostConf::locate(directories, env).containers()
}
