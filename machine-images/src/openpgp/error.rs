//! Why a signature is not accepted, and what the user can do about it.

use super::signer::Signer;
use super::{MAX_KEY_FILE_BYTES, MAX_SIGNATURE_BYTES};

/// What went wrong in the library that reads OpenPGP's formats.
type Source = Box<dyn std::error::Error + Send + Sync>;

/// What is wrong with a signature. `name` is always the name under which the signature was given; times are RFC 3339's.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// Real signatures are much smaller.
    #[error("Signature `{name}` is larger than {} KiB", MAX_SIGNATURE_BYTES >> 10)]
    TooLarge {
        /// The signature.
        name: String,
    },
    /// It is no detached signature, or a damaged one.
    #[error("`{name}` is not an OpenPGP signature, or is damaged")]
    Unreadable {
        /// The signature.
        name: String,
        /// What could not be read, where something was there.
        #[source]
        source: Option<Source>,
    },
    /// None of the keys made it.
    #[error("Signature `{name}` is by a key that is not known here: {}", issuers.join(", "))]
    UnknownKey {
        /// The signature.
        name: String,
        /// The fingerprints of the keys that made it, or their key IDs where it does not hold more.
        issuers: Vec<String>,
    },
    /// It is of text, whose line endings may change, or of no file at all.
    #[error("Signature `{name}` is not of a binary file")]
    NotBinary {
        /// The signature.
        name: String,
    },
    /// Files can be forged that have the same digest.
    #[error("Signature `{name}` uses {digest}, which is too weak: SHA-256 or better is needed")]
    WeakDigest {
        /// The signature.
        name: String,
        /// The digest.
        digest: String,
    },
    /// It is made in a way that is not known here.
    #[error("Signature `{name}` cannot be checked: {what}")]
    Unsupported {
        /// The signature.
        name: String,
        /// What is not known.
        what: &'static str,
    },
    /// It was made later than now.
    #[error("Signature `{name}` is of the future: it was made at {made}")]
    Future {
        /// The signature.
        name: String,
        /// When it says that it was made.
        made: String,
    },
    /// Its maker gave it an end.
    #[error("Signature `{name}` was good until {until} only")]
    Outdated {
        /// The signature.
        name: String,
        /// Its end.
        until: String,
    },
    /// The key had an end, and the signature was made after it.
    #[error("Signature `{name}` was made at {made} by a key that expired at {expired}: {key}")]
    Expired {
        /// The signature.
        name: String,
        /// When it was made.
        made: String,
        /// When the key or the subkey ended.
        expired: String,
        /// The key.
        key: Box<Signer>,
    },
    /// The key's holder says that it is not to be believed.
    #[error(
        "Signature `{name}` is by a key that was revoked at {revoked}, because {reason}: {key}"
    )]
    Revoked {
        /// The signature.
        name: String,
        /// When the key or the subkey was revoked.
        revoked: String,
        /// Why.
        reason: String,
        /// The key.
        key: Box<Signer>,
    },
    /// The key is known, and is not one that may make such a signature.
    #[error("Signature `{name}` is by a key that cannot sign files, for {why}: {key}")]
    BadKey {
        /// The signature.
        name: String,
        /// What is wrong with the key.
        why: &'static str,
        /// The key.
        key: Box<Signer>,
    },
    /// The file is not the one that was signed.
    #[error("The file does not match its signature `{name}` by {key}")]
    Wrong {
        /// The signature.
        name: String,
        /// The key that is named in it.
        key: Box<Signer>,
    },
}

impl SignatureError {
    /// What the user can do, one sentence each.
    pub fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::UnknownKey { .. } => {
                return vec![
                    "Fedora signs each of its versions with a key of its own: a newer release of this program knows newer \
                     keys"
                        .to_owned(),
                    "a key that you trust can be added: put it as a file `*.asc` or `*.gpg` into the directory `keys` \
                     beside the configuration file"
                        .to_owned(),
                ];
            }
            Self::TooLarge { .. } | Self::Unreadable { .. } => {
                "a proxy or a mirror may have answered with something else: look at what is there"
            }
            Self::Future { .. } => "check the clock of this computer",
            Self::Expired { .. } => {
                "if the key's holder has given it a later end, put the new public key into the directory `keys` beside \
                 the configuration file"
            }
            Self::Wrong { .. } => {
                "the file is damaged or was changed: get it again, from another place if that repeats"
            }
            Self::Outdated { .. } | Self::Revoked { .. } => "take a newer image",
            Self::NotBinary { .. }
            | Self::WeakDigest { .. }
            | Self::Unsupported { .. }
            | Self::BadKey { .. } => "ask who publishes the file for a signature of today's kind",
        };
        vec![hint.to_owned()]
    }
}

/// Why a file gives no keys.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// Real files of keys are much smaller.
    #[error("Key file `{name}` is larger than {} MiB", MAX_KEY_FILE_BYTES >> 20)]
    TooLarge {
        /// The file.
        name: String,
    },
    /// What is in it is damaged, or no key.
    #[error("Key file `{name}` cannot be read")]
    Unreadable {
        /// The file.
        name: String,
        /// What could not be read.
        #[source]
        source: Source,
    },
    /// There is no public key in it.
    #[error("Key file `{name}` holds no OpenPGP public key")]
    NoKey {
        /// The file.
        name: String,
    },
}

impl KeyringError {
    /// What the user can do, one sentence each.
    pub fn hints(&self) -> Vec<String> {
        vec!["export the public key again: gpg --armor --export FINGERPRINT".to_owned()]
    }
}
