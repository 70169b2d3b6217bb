//! A machine and the network: how its guest gets out.

pub mod egress;
