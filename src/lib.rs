//! `machine`: Linux virtual machines with a container engine that behaves as if it were local.
//!
//! The folders are the architecture; `docs/architecture.md` draws it. The command line is a thin layer over [`ops`],
//! and a running machine is one process of its own, [`supervisor`].

pub mod agent;
pub mod cli;
pub mod connection;
pub mod docker_socket;
pub mod engine;
pub mod forward;
pub mod hostconf;
pub mod hostfacts;
pub mod link;
pub mod machine;
pub mod network;
pub mod ops;
pub mod provider;
pub mod service;
pub mod store;
pub mod supervisor;
