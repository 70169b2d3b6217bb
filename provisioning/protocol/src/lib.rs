//! What the host and the guest's agent say to each other over a link.
//!
//! A link is one ordered byte stream between the supervisor on the host and the agent in the
//! guest. From the bottom up:
//!
//! - [`hello`]: both ends find the start of a session among stale bytes and prove that they know
//!   the machine's [`secret`]; no IO.
//! - [`frame`]: the bytes of one mux frame.
//! - [`mux`]: many streams over one link, each with its own credit; no IO and no runtime.
//! - [`link`]: the mux driven by tokio over any carrier.
//! - [`relay`]: a local socket joined to one stream of a link.
//! - [`message`] and [`boot`]: what is said on the streams and on the seed disk.
//! - [`exec`]: what is said on the stream of a program that is run in the guest; no IO.
//! - [`publish`]: what is said about published ports; no IO.
//! - [`sockets`]: what is said about sockets of the host in the guest; no IO.
//!
//! `docs/protocol.md` is the written form, with test vectors that the tests here check.

pub mod boot;
pub mod exec;
pub mod frame;
pub mod hello;
mod hex;
pub mod link;
pub mod message;
pub mod mux;
pub mod publish;
pub mod relay;
pub mod secret;
pub mod sockets;
