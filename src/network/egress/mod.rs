//! How a guest reaches the network: the hypervisor's own network, or a program beside the VM that carries its packets.
//!
//! Pure: [`choice`] (which one, by what the host has), [`addresses`] (a network that hides none of the host's), and what
//! each [`Backend`] says of itself. Doing: [`host`] looks, [`program`] starts, [`keeper`] looks after it, and starts it
//! anew when the host has other [`names`].

pub mod addresses;
mod backend;
pub mod choice;
pub mod host;
pub mod keeper;
mod names;
pub mod program;

pub use backend::{Backend, Joint, backend};
pub use choice::{EgressError, EgressPlan, Wish};
pub use host::HostNetwork;
