//! A machine and the network: how its guest gets out, and what it publishes on the host.

pub mod egress;
pub mod publish;
