//! What a guest is to have in common with its host from this start on: time zone, proxies, swap, certificate
//! authorities. The supervisor gathers it at every start and puts it on the seed disk; the agent applies it.
//!
//! A fact that cannot be had is a warning, and the machine starts without it.

mod certificates;
mod proxies;
mod time_zone;

#[cfg(unix)]
#[path = "unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "windows.rs"]
mod platform;

use std::ffi::OsString;
use std::fmt;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use machine_host::directories::Directories;
use machine_protocol::boot::HostFacts;

use crate::hostconf::{ContainersConf, Environment, HostConf};
use crate::machine::MachineConfig;
use crate::machine::config::LOCAL_TIME_ZONE;

/// Names a directory in which helper programs are looked for first (spec 1.2).
const HELPER_DIRECTORY: &str = "CONTAINERS_HELPER_BINARY_DIR";

/// The environment of this process.
pub fn environment(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// What was found out for one start.
#[derive(Default)]
pub struct Gathered {
    /// For the boot parameters.
    pub facts: HostFacts,
    /// The certificates of the host's authorities (PEM), where they are asked for.
    pub certificates: Option<Vec<u8>>,
    /// What could not be had.
    pub warnings: Vec<String>,
}

impl fmt::Debug for Gathered {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.certificates.as_ref().map(Vec::len);
        formatter
            .debug_struct("Gathered")
            .field("facts", &self.facts)
            .field("certificates", &bytes)
            .field("warnings", &self.warnings)
            .finish()
    }
}

/// The host, as the guest is to see it.
#[derive(Clone, Debug)]
pub struct Host {
    conf: ContainersConf,
    warnings: Vec<String>,
}

impl Host {
    /// The host as this process's environment shows it.
    pub fn of_this_process() -> Self {
        match Directories::from_environment() {
            Ok(directories) => Self::read(&HostConf::locate(&directories, &environment)),
            Err(error) => Self {
                conf: ContainersConf::default(),
                warnings: vec![format!("no configuration is read: {error}")],
            },
        }
    }

    /// Reads what is configured. A file that cannot be read is a warning: a start does not depend on it.
    pub fn read(hostconf: &HostConf) -> Self {
        match hostconf.containers() {
            Ok(conf) => Self {
                conf,
                warnings: Vec::new(),
            },
            Err(error) => Self {
                conf: ContainersConf::default(),
                warnings: vec![format!(
                    "proxies and helper directories of containers.conf are not used: {error}"
                )],
            },
        }
    }

    /// Where helper programs are looked for before `PATH`: the variable, then `[engine] helper_binaries_dir` (spec 1.3).
    pub fn program_directories(&self, env: &Environment<'_>) -> Vec<PathBuf> {
        let first = env(HELPER_DIRECTORY).filter(|directory| !directory.is_empty());
        let configured = self.conf.engine.helper_binaries_dir.resolve(&[]);
        first
            .into_iter()
            .map(PathBuf::from)
            .chain(configured.into_iter().map(PathBuf::from))
            .collect()
    }

    /// Whether guests are to have Rosetta, where it can be had (`[machine] rosetta`; read at each start, spec 4.4).
    pub fn wants_rosetta(&self) -> bool {
        self.conf.machine.rosetta.unwrap_or(false)
    }

    /// Gathers all that this machine's guest is to know. `loopback` is the address by which the guest reaches what
    /// listens on the host's loopback.
    pub fn gather(
        &self,
        config: &MachineConfig,
        loopback: Option<Ipv4Addr>,
        env: &Environment<'_>,
    ) -> Gathered {
        let mut warnings = self.warnings.clone();
        let time_zone = match config.time_zone.as_str() {
            "" => None,
            LOCAL_TIME_ZONE => time_zone::local(env, &mut warnings),
            name => Some(name.to_owned()),
        };
        // Podman sets these for itself where the environment has none of the name, even an empty one.
        let proxies = proxies::gather(
            &|name| env(name).or_else(|| self.conf.engine.env.get(name).map(OsString::from)),
            &mut warnings,
        );
        if loopback.is_none() && proxies::are_on_the_host(&proxies) {
            warnings.push(
                "a proxy is on the host's loopback, which the machine is kept from; `machine set --host-loopback` opens it"
                    .to_owned(),
            );
        }
        let certificates = if config.import_native_ca {
            certificates::gather(env, &certificates::SystemStore, &mut warnings)
        } else {
            None
        };
        Gathered {
            facts: HostFacts {
                time_zone,
                proxies,
                host_address: loopback,
                swap_mib: config.swap_mib,
                certificates: certificates.is_some(),
                // The hypervisor has a say.
                translator: None,
            },
            certificates,
            warnings,
        }
    }
}

#[cfg(test)]
mod tests;
