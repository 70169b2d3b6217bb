//! `machine`: Linux virtual machines with a container engine that behaves as if it were local.
pub mod cli;
pub mod engine;
pub mod forward;
pub mod link;
pub mod machine;
pub mod ops;
pub mod provider;
pub mod store;
pub mod supervisor;
