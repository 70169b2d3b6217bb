//! Integration tests of the host side that need no guest.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests"
)]

mod architecture;
mod dependencies;
