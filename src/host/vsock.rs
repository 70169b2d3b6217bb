//! Vsock of this host's own kernel: its device for virtual machines, and the ports on which their guests reach us.
//!
//! There is one on Linux alone; elsewhere all of it is absent. Every user of the host and every process of a guest may
//! dial such a port, so whoever accepts looks at the context id of the caller and lets it prove itself.

pub use crate::sys::vsock::{Acceptor, Device, Listener, Stream, is_usable};
