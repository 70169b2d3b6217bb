//! From a kind to its provider; with the store, the only place that tells kinds apart.

use std::sync::Arc;

use crate::machine::ProviderKind;
use crate::provider::qemu::QemuProvider;
use crate::provider::{Provider, ProviderError};

/// The provider of this kind.
pub fn provider(kind: ProviderKind) -> Result<Arc<dyn Provider>, ProviderError> {
    match kind {
        ProviderKind::Qemu => Ok(Arc::new(QemuProvider::new())),
        ProviderKind::AppleHv
        | ProviderKind::LibKrun
        | ProviderKind::HyperV
        | ProviderKind::Wsl => Err(ProviderError::Unsupported(kind)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_provider_or_the_texts_of_podman() {
        for kind in ProviderKind::ALL {
            match provider(kind) {
                Ok(provider) => assert_eq!(provider.kind(), kind),
                Err(error) => assert_eq!(
                    error.to_string(),
                    format!("unsupported virtualization provider: `{kind}`")
                ),
            }
        }
        assert!(provider(ProviderKind::Qemu).is_ok());
    }
}
