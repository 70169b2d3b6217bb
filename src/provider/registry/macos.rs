//! macOS.

use crate::machine::ProviderKind;

/// What this host has, the default first.
pub(super) const PROVIDERS: &[ProviderKind] = &[
    ProviderKind::AppleHv,
    ProviderKind::LibKrun,
    ProviderKind::Qemu,
];
