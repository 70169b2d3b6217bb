//! What a machine has of the host's network: published ports.

pub mod publish;
