//! Who signed, as users are told.

use std::fmt;

use pgp::composed::SignedPublicKey;
use pgp::types::KeyDetails;

use super::key;

/// A key, and where it is one that signs for another, both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// The fingerprint of the primary key, in upper-case hexadecimal digits.
    pub fingerprint: String,
    /// The fingerprint of the subkey that made the signature; `None` where the primary key did.
    pub subkey: Option<String>,
    /// Who the key says that it is of, such as `Fedora (44) <fedora-44-primary@fedoraproject.org>`; `None` where no
    /// user ID is certified by the key itself.
    pub user_id: Option<String>,
}

impl Signer {
    pub(super) fn of(key: &SignedPublicKey, subkey: Option<&impl KeyDetails>, now: u64) -> Self {
        let printable = |id: &[u8]| {
            let shown = |letter: char| {
                if letter.is_control() {
                    '\u{fffd}'
                } else {
                    letter
                }
            };
            String::from_utf8_lossy(id).chars().map(shown).collect()
        };
        Self {
            fingerprint: fingerprint(key),
            subkey: subkey.map(fingerprint),
            user_id: key::user_id(key, now).map(printable),
        }
    }
}

fn fingerprint(key: &impl KeyDetails) -> String {
    format!("{:X}", key.fingerprint())
}

impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user_id) = &self.user_id {
            write!(f, "{user_id}, ")?;
        }
        f.write_str(&self.fingerprint)?;
        match &self.subkey {
            Some(subkey) => write!(f, ", subkey {subkey}"),
            None => Ok(()),
        }
    }
}
