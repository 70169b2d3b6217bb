//! The domain: what a machine is, what may be asked for, and what it is called.
//!
//! Everything here is pure. No file, process or clock is touched; facts about the host are parameters.

pub mod config;
pub mod data_disk;
pub mod deadlines;
pub mod name;
pub mod nearest;
pub mod network;
pub mod ports;
pub mod provider_kind;
pub mod resources;
pub mod settings;
pub mod sockets;
pub mod status;
pub mod time_zone;
pub mod volume;
pub mod vsock;
pub mod word;

pub use config::{DiskFormat, MachineConfig};
pub use data_disk::DataDisk;
pub use name::MachineName;
pub use network::{Egress, GuestNetwork, Network, NetworkOffer, NetworkSocket};
pub use provider_kind::ProviderKind;
pub use resources::Resources;
pub use sockets::ForwardSocket;
pub use status::Status;
pub use volume::Volume;
pub use vsock::Vsock;
