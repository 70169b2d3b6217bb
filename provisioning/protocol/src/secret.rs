//! The machine's secret: 32 random bytes that host and agent share through the seed disk.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The operating system gave no random bytes.
    #[error("The operating system gave no random bytes")]
    Random(#[source] getrandom::Error),
    /// The text is something else.
    #[error("A secret has 64 hexadecimal digits")]
    NotHex,
}

/// Shared by both ends of a machine's link; never shown, not even in debug output.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(#[serde(with = "crate::hex")] [u8; 32]);

impl Secret {
    /// Draws a new secret from the operating system.
    pub fn generate() -> Result<Self, SecretError> {
        random().map(Self).map_err(SecretError::Random)
    }

    /// The form kept in files: 64 hexadecimal digits.
    pub fn to_hex(&self) -> String {
        crate::hex::encode(&self.0)
    }

    /// Reads what [`Secret::to_hex`] wrote; white space around it does not matter.
    pub fn from_hex(text: &str) -> Result<Self, SecretError> {
        crate::hex::decode(text.trim())
            .map(Self)
            .ok_or(SecretError::NotHex)
    }

    /// HMAC-SHA256 over the parts, one after the other.
    pub(crate) fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.state(parts).finalize().into_bytes().into()
    }

    /// Compares in constant time.
    pub(crate) fn verify(&self, parts: &[&[u8]], mac: &[u8]) -> bool {
        self.state(parts).verify_slice(mac).is_ok()
    }

    fn state(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        // A key of exactly 32 bytes is padded to one block, as HMAC does itself.
        let mut block = [0; 64];
        block[..32].copy_from_slice(&self.0);
        let mut state = Hmac::<Sha256>::new(&block.into());
        for part in parts {
            state.update(part);
        }
        state
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(hidden)")
    }
}

/// 32 bytes from the operating system, for secrets and nonces.
pub(crate) fn random() -> Result<[u8; 32], getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_round_trip_and_no_leak() {
        let secret = Secret::generate().unwrap();
        assert_eq!(
            Secret::from_hex(&format!("{}\n", secret.to_hex())).unwrap(),
            secret
        );
        assert!(!format!("{secret:?}").contains(&secret.to_hex()[..8]));
        assert_ne!(secret, Secret::generate().unwrap());
        let json = serde_json::to_string(&secret).unwrap();
        assert_eq!(json, format!("\"{}\"", secret.to_hex()));
        assert_eq!(serde_json::from_str::<Secret>(&json).unwrap(), secret);
    }

    #[test]
    fn other_lengths_and_letters_are_refused() {
        for text in ["", "00", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64)] {
            assert!(
                matches!(Secret::from_hex(text), Err(SecretError::NotHex)),
                "{text}"
            );
        }
    }

    #[test]
    fn mac_agrees_with_a_known_answer() {
        // Computed with Python: hmac.new(bytes(32), b"machine", "sha256").hexdigest()
        let secret = Secret::from_hex(&"00".repeat(32)).unwrap();
        let mac = secret.mac(&[b"mach", b"ine"]);
        assert_eq!(crate::hex::encode(&mac), KNOWN);
        assert!(secret.verify(&[b"machine"], &mac));
        assert!(!secret.verify(&[b"machinE"], &mac));
        assert!(!secret.verify(&[b"machine"], &mac[..31]));
    }

    const KNOWN: &str = "211fd0aa670de09c2405054bcbc9d6842a5dd31c62632b341f5adf4b88572d54";
}
