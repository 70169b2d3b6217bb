//! The stand-in for WSL, and what is built on it.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking, in its helpers too"
)]

#[path = "../../../built.rs"]
mod built;
mod built_tests;
mod chain;
mod fake;
mod provider;
mod support;
