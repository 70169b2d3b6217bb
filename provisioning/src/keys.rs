//! SSH key pairs, made in this process: ed25519 in OpenSSH's formats.

use std::fmt;

use ssh_key::LineEnding;
use ssh_key::private::{Ed25519Keypair, PrivateKey};

/// Why no key pair could be made.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The system has no random numbers to give.
    #[error("The system gave no random numbers for a key")]
    Random(#[source] getrandom::Error),
    /// The key could not be written in OpenSSH's format.
    #[error("The key could not be written in OpenSSH's format")]
    Encode(#[source] ssh_key::Error),
    /// The text is no private key in OpenSSH's format, or one with a passphrase.
    #[error("The text is no private key that can be read")]
    Decode(#[source] ssh_key::Error),
    /// A comment with a line break would make a second, meaningless line.
    #[error("The key's comment `{0}` holds a control character")]
    Comment(String),
}

/// A fresh ed25519 key pair. `Debug` shows the public half only.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyPair {
    /// The private key, unencrypted, as in `~/.ssh/id_ed25519`.
    pub private: String,
    /// The public key in one line without a line end, as in `~/.ssh/id_ed25519.pub`.
    pub public: String,
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("KeyPair")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

/// Makes a key pair whose public half carries `comment`.
pub fn generate(comment: &str) -> Result<KeyPair, KeyError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(KeyError::Random)?;
    from_seed(&seed, comment)
}

/// The pair of a private key, whose text is kept as it is.
pub fn from_private(private: &str) -> Result<KeyPair, KeyError> {
    let key = PrivateKey::from_openssh(private).map_err(KeyError::Decode)?;
    let public = key.public_key().to_openssh().map_err(KeyError::Encode)?;
    Ok(KeyPair {
        private: private.to_owned(),
        public,
    })
}

fn from_seed(seed: &[u8; 32], comment: &str) -> Result<KeyPair, KeyError> {
    if comment.chars().any(char::is_control) {
        return Err(KeyError::Comment(comment.escape_debug().to_string()));
    }
    let key = PrivateKey::new(Ed25519Keypair::from_seed(seed).into(), comment)
        .map_err(KeyError::Encode)?;
    let private = key.to_openssh(LineEnding::LF).map_err(KeyError::Encode)?;
    let public = key.public_key().to_openssh().map_err(KeyError::Encode)?;
    Ok(KeyPair {
        private: private.to_string(),
        public,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats() {
        let pair = generate("machine `default`").unwrap();
        assert!(
            pair.private
                .starts_with("-----BEGIN OPENSSH PRIVATE KEY-----\n")
        );
        assert!(
            pair.private
                .ends_with("-----END OPENSSH PRIVATE KEY-----\n")
        );
        assert_eq!(pair.public.split(' ').next(), Some("ssh-ed25519"));
        assert!(pair.public.ends_with(" machine `default`"));
    }

    /// The first test vector of RFC 8032, section 7.1.
    #[test]
    fn public_key_of_a_known_seed() {
        let seed = [
            0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec,
            0x2c, 0xc4, 0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03,
            0x1c, 0xae, 0x7f, 0x60,
        ];
        let pair = from_seed(&seed, "").unwrap();
        assert_eq!(
            pair.public.trim_end(),
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea"
        );
    }

    #[test]
    fn a_pair_is_known_by_its_private_half() {
        let pair = generate("machine m").unwrap();
        assert_eq!(from_private(&pair.private).unwrap(), pair);
        for text in ["", &pair.public, &pair.private[..200]] {
            from_private(text).unwrap_err();
        }
    }

    #[test]
    fn two_pairs_differ() {
        assert_ne!(generate("a").unwrap(), generate("a").unwrap());
    }

    #[test]
    fn debug_shows_no_private_key() {
        let pair = generate("a").unwrap();
        let text = format!("{pair:?}");
        assert!(text.contains(&pair.public));
        assert!(!text.contains("PRIVATE"));
    }

    #[test]
    fn comment_of_two_lines_is_refused() {
        let error = generate("a\nssh-rsa AAAA").unwrap_err();
        assert_eq!(
            error.to_string(),
            "The key's comment `a\\nssh-rsa AAAA` holds a control character"
        );
    }
}
