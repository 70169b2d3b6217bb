//! A machine and the network: how its guest gets out, and what it publishes on the host and reaches there.

pub mod egress;
pub mod publish;
pub mod sockets;
#[cfg(test)]
mod testing;
