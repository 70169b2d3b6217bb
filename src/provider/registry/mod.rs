//! From a kind to its provider; with the store, the only place that tells kinds apart.

#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod platform;
#[cfg(target_os = "macos")]
#[path = "macos.rs"]
mod platform;
#[cfg(windows)]
#[path = "windows.rs"]
mod platform;

use std::sync::Arc;

use crate::machine::ProviderKind;
use crate::provider::apple::AppleProvider;
use crate::provider::qemu::QemuProvider;
use crate::provider::wsl::WslProvider;
use crate::provider::{Provider, ProviderError};

/// Lets this host have the providers of other hosts, if it is set to anything: for tests that put stand-ins of their
/// programs into the way. It is read here alone; whoever sets it sets it for supervisors as well.
const FOREIGN: &str = "MACHINE_FOREIGN_PROVIDERS";

/// The provider of this kind, where this host has it.
pub fn provider(kind: ProviderKind) -> Result<Arc<dyn Provider>, ProviderError> {
    if platform::PROVIDERS.contains(&kind) || has_foreign() {
        known(kind)
    } else {
        Err(ProviderError::Unsupported(kind))
    }
}

/// The kinds that this host has, the default first.
pub fn kinds() -> Vec<ProviderKind> {
    let foreign = ProviderKind::ALL.iter().filter(|_| has_foreign());
    let foreign = foreign.filter(|kind| !platform::PROVIDERS.contains(kind));
    let all = platform::PROVIDERS.iter().chain(foreign).copied();
    all.filter(|kind| known(*kind).is_ok()).collect()
}

/// A new provider is a line here.
fn known(kind: ProviderKind) -> Result<Arc<dyn Provider>, ProviderError> {
    match kind {
        ProviderKind::Qemu => Ok(Arc::new(QemuProvider::new())),
        ProviderKind::AppleHv => Ok(Arc::new(AppleProvider::vfkit())),
        ProviderKind::LibKrun => Ok(Arc::new(AppleProvider::krunkit())),
        ProviderKind::Wsl => Ok(Arc::new(WslProvider::new())),
        ProviderKind::HyperV => Err(ProviderError::Unsupported(kind)),
    }
}

fn has_foreign() -> bool {
    std::env::var_os(FOREIGN).is_some_and(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_provider_or_the_texts_of_podman() {
        for kind in ProviderKind::ALL {
            match known(kind) {
                Ok(provider) => assert_eq!(provider.kind(), kind),
                Err(error) => assert_eq!(
                    error.to_string(),
                    format!("unsupported virtualization provider: `{kind}`")
                ),
            }
        }
    }

    #[test]
    fn a_host_has_its_own_and_refuses_others() {
        let kinds = kinds();
        assert_eq!(kinds, platform::PROVIDERS);
        for kind in ProviderKind::ALL {
            assert_eq!(provider(kind).is_ok(), kinds.contains(&kind), "{kind}");
        }
    }
}
