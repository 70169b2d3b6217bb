//! The kinds of provider, by podman's words for them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What runs a machine. Only the store and the registry of providers tell the kinds apart; all else asks a provider
/// for its capabilities.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum ProviderKind {
    /// QEMU: what a machine gets that names none, so far on each host.
    #[default]
    Qemu,
    /// Apple's Virtualization framework by vfkit.
    AppleHv,
    /// libkrun by krunkit.
    LibKrun,
    /// Hyper-V.
    HyperV,
    /// The Windows Subsystem for Linux, version 2.
    Wsl,
}

/// A word that names no provider.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("unknown VMType `{0}`")]
pub struct UnknownProvider(pub String);

impl ProviderKind {
    /// All kinds.
    pub const ALL: [Self; 5] = [
        Self::Qemu,
        Self::AppleHv,
        Self::LibKrun,
        Self::HyperV,
        Self::Wsl,
    ];

    /// Podman's word: in flags, files and output.
    pub fn word(self) -> &'static str {
        match self {
            Self::Qemu => "qemu",
            Self::AppleHv => "applehv",
            Self::LibKrun => "libkrun",
            Self::HyperV => "hyperv",
            Self::Wsl => "wsl",
        }
    }

    /// Podman's word where it says what such machines do not have (spec 1.4.8).
    pub fn word_in_texts(self) -> &'static str {
        match self {
            Self::Wsl => "WSL",
            other => other.word(),
        }
    }

    /// Whether the text, in any case, is the word for a provider.
    pub fn is_word(text: &str) -> bool {
        Self::ALL
            .iter()
            .any(|kind| text.eq_ignore_ascii_case(kind.word()))
    }
}

impl fmt::Display for ProviderKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.word())
    }
}

/// As the environment and the configuration are read: blanks around are dropped, case does not count.
impl FromStr for ProviderKind {
    type Err = UnknownProvider;

    fn from_str(text: &str) -> Result<Self, UnknownProvider> {
        Self::ALL
            .into_iter()
            .find(|kind| text.trim().eq_ignore_ascii_case(kind.word()))
            .ok_or_else(|| UnknownProvider(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_podman_reads_them() {
        for kind in ProviderKind::ALL {
            assert_eq!(
                format!(" {} ", kind.word().to_uppercase()).parse(),
                Ok(kind)
            );
            assert_eq!(
                serde_json::to_string(&kind).unwrap(),
                format!("\"{}\"", kind.word())
            );
        }
        assert_eq!(
            "xen".parse::<ProviderKind>().unwrap_err().to_string(),
            "unknown VMType `xen`"
        );
    }
}
