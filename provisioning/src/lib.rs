//! What a guest is told: its Ignition configuration at the first boot, and its seed disk at every boot.
//!
//! Everything here is a pure function from values to text or bytes; who writes them to files, and who hands them to a
//! hypervisor, is not this crate's business.
//!
//! What goes where:
//!
//! * **Ignition** ([`ignition()`]) runs once and cannot be changed afterwards. It holds what a machine keeps for life:
//!   its users and their keys, sub-ids, linger, the engines' sockets, the SSH host key and the [stub unit](units).
//! * **The tree** ([`wsl`]) says the same where there is no Ignition: it is laid into the files that the guest is made of.
//! * **The seed** ([`seed`]) is made anew at each start. It carries the agent, always the host's own version, and the
//!   parameters of this boot.
//!
//! Mounts, proxies, time zone and the publish marker are in neither list yet: they may change between two starts, so
//! the agent applies them.

mod guest;
mod ignition;
pub mod keys;
pub mod seed;
pub mod units;
pub mod wsl;

pub use crate::guest::{GuestSpec, HostKey, ProvisioningError, group_id, sub_ids};
pub use crate::ignition::{IGNITION_LIMIT, ignition};
