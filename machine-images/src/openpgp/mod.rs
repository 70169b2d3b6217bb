//! Detached OpenPGP signatures: whether a key that is trusted here made the signature of a file.
//!
//! A [`Keyring`] holds the keys: Fedora's, which are built in, and those that a user adds. A [`Verifier`] is made from
//! it and a signature's bytes before the first byte of the file is there, so that a signature that cannot be good costs
//! no download; then it takes the file in pieces, and says at the end who signed.
//!
//! The formats are RFC 9580's and its predecessors', as the crate `pgp` reads them. What makes a signature good is
//! decided here:
//!
//! - It is of a binary document, in version 4 or 6, by SHA-256 or better, and its time lies no more than a day ahead.
//! - Its key is the primary key of a trusted one or a subkey of it that is bound for signing, in both directions.
//! - The key and the subkey were there, not expired and not revoked when the signature was made. A key that is revoked
//!   because others have it, or without a reason, is revoked for all times.
//!
//! Of several signatures of one file one good one suffices.
//!
//! ```
//! use machine_images::openpgp::{Keyring, SignatureError, Verifier};
//!
//! let keyring = Keyring::fedora()?;
//! let error = Verifier::new(&keyring, "image.sig", b"no signature").unwrap_err();
//! assert!(matches!(error, SignatureError::Unreadable { .. }));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod candidate;
mod error;
mod judge;
mod key;
mod keyring;
mod packets;
mod signer;
mod times;
mod verify;

pub use error::{KeyringError, SignatureError};
pub use keyring::{KEY_FILE_EXTENSIONS, Keyring};
pub use signer::Signer;
pub use verify::Verifier;

/// The largest file of keys that is read.
pub const MAX_KEY_FILE_BYTES: usize = 4 << 20;

/// The largest file of signatures that is read: one has less than 1 KiB.
pub const MAX_SIGNATURE_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod unusual_tests;
