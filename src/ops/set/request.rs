//! What is to be changed, and what the machine is asked to be with the change. Pure, but for the host's list of time zones.

use super::{Resource, SetError};
use crate::machine::config::LOCAL_TIME_ZONE;
use crate::machine::resources::{ResourceError, Wish};
use crate::machine::settings::{LARGEST_SWAP_MIB, Origin, SettingError};
use crate::machine::time_zone::{self, TimeZoneError};
use crate::machine::{ForwardSocket, MachineConfig, Network, Resources, Volume, Vsock};
use crate::ops::host::Host;
use crate::ops::os_disk;

/// What is to be changed; what is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetRequest {
    /// Virtual CPUs, memory and disk.
    pub wish: Wish,
    /// Whether the API socket is to be the engine of root.
    pub rootful: Option<bool>,
    /// The guest's time zone, or `local`.
    pub time_zone: Option<String>,
    /// Swap in MiB.
    pub swap_mib: Option<u64>,
    /// Whether the guest is to trust what the host trusts.
    pub import_native_ca: Option<bool>,
    /// The vsock that it is to have.
    pub vsock: Option<Vsock>,
    /// What carries its packets.
    pub network: Option<Network>,
    /// Whether its guest is to reach the host's loopback.
    pub host_loopback: Option<bool>,
    /// Whether servers of the guest are to be ports of the host.
    pub forward_listeners: Option<bool>,
    /// USB devices that are to be passed through, instead of those that are.
    pub usbs: Option<Vec<String>>,
    /// Folders of the host in the guest, instead of those that are.
    pub volumes: Option<Vec<Volume>>,
    /// Sockets of the host in the guest, instead of those that are.
    pub forward_sockets: Option<Vec<ForwardSocket>>,
}

impl SetRequest {
    /// Whether nothing is to be changed but what a running machine can take: the mode, the forwarding of servers, and the
    /// folders.
    pub(super) fn is_for_running(&self) -> bool {
        self.is_partly_for_running()
            && *self
                == Self {
                    rootful: self.rootful,
                    forward_listeners: self.forward_listeners,
                    volumes: self.volumes.clone(),
                    forward_sockets: self.forward_sockets.clone(),
                    ..Self::default()
                }
    }

    /// Whether something of that is to be changed.
    pub(super) fn is_partly_for_running(&self) -> bool {
        self.rootful.is_some()
            || self.forward_listeners.is_some()
            || self.volumes.is_some()
            || self.forward_sockets.is_some()
    }

    /// The configuration with the change, the disk aside. Whatever the host and the types refuse is an error here.
    pub(super) fn apply(
        &self,
        old: &MachineConfig,
        host: &Host,
    ) -> Result<MachineConfig, SetError> {
        let mut new = old.clone();
        let wish = Wish {
            cpus: Some(self.wish.cpus.unwrap_or(old.resources.cpus)),
            memory_mib: Some(self.wish.memory_mib.unwrap_or(old.resources.memory_mib)),
            disk_gib: Some(self.wish.disk_gib.unwrap_or(old.resources.disk_gib)),
        };
        self.check_sized(old)?;
        if self.wish != Wish::default() {
            new.resources = self.settle(&wish, host)?;
        }
        if let Some(usbs) = &self.usbs
            && !usbs.is_empty()
        {
            return Err(SetError::Usb {
                provider: old.provider,
            });
        }
        if let Some(time_zone) = &self.time_zone {
            check_zone(time_zone).map_err(|error| SettingError::TimeZone {
                error,
                origin: Origin::Flag,
            })?;
            new.time_zone.clone_from(time_zone);
        }
        if let Some(wanted) = self.swap_mib
            && wanted > LARGEST_SWAP_MIB
        {
            let origin = Origin::Flag;
            return Err(SettingError::Swap { wanted, origin }.into());
        }
        new.rootful = self.rootful.unwrap_or(old.rootful);
        new.swap_mib = self.swap_mib.unwrap_or(old.swap_mib);
        new.vsock = self.vsock.unwrap_or(old.vsock);
        new.network = self.network.unwrap_or(old.network);
        new.host_loopback = self.host_loopback.unwrap_or(old.host_loopback);
        new.forward_listeners = self.forward_listeners.unwrap_or(old.forward_listeners);
        new.import_native_ca = self.import_native_ca.unwrap_or(old.import_native_ca);
        if let Some(volumes) = &self.volumes {
            new.volumes.clone_from(volumes);
        }
        if let Some(sockets) = &self.forward_sockets {
            new.forward_sockets.clone_from(sockets);
        }
        new.check()?;
        Ok(new)
    }

    /// Refuses what the machines of the provider have not to themselves.
    fn check_sized(&self, old: &MachineConfig) -> Result<(), SetError> {
        let provider = old.provider;
        let refused = |what, instead| SetError::NotSized {
            what,
            provider,
            instead,
        };
        if let Some(instead) = os_disk::shared_resources(provider) {
            if self.wish.cpus.is_some() {
                return Err(refused(Resource::Cpus, instead));
            }
            if self.wish.memory_mib.is_some() {
                return Err(refused(Resource::Memory, instead));
            }
        }
        let has_disk = old.data_disk.is_some() || !os_disk::is_kept_by(provider);
        if self.wish.disk_gib.is_some() && !has_disk {
            let instead = "it grows by itself as the guest writes";
            return Err(refused(Resource::Disk, instead));
        }
        Ok(())
    }

    /// The new resources. What is not asked for is not held to the host's bounds: a machine that was made on a larger
    /// host must be changeable one number at a time.
    fn settle(&self, wish: &Wish, host: &Host) -> Result<Resources, ResourceError> {
        let mut bounds = host.resources;
        if self.wish.cpus.is_none() {
            bounds.cpus = u32::MAX;
        }
        if self.wish.memory_mib.is_none() {
            bounds.memory_mib = u64::MAX;
        }
        Resources::settle(wish, &bounds)
    }
}

/// Checks the name of a time zone; a host with a list of them knows more than how one looks.
fn check_zone(name: &str) -> Result<(), TimeZoneError> {
    time_zone::check(name)?;
    let known = jiff::tz::db();
    let has_no_say = name.is_empty()
        || name == LOCAL_TIME_ZONE
        || known.is_definitively_empty()
        || known.available().next().is_none();
    if has_no_say || known.get(name).is_ok() {
        return Ok(());
    }
    Err(TimeZoneError(name.to_owned()))
}
