//! One pass over a file: every signature that may be good digests it, and at the end one must be right.

use std::fmt;
use std::time::SystemTime;

use pgp::composed::DetachedSignature;

use super::candidate::Candidate;
use super::error::SignatureError;
use super::judge::Judge;
use super::keyring::Keyring;
use super::signer::Signer;
use super::{MAX_SIGNATURE_BYTES, packets, times};

/// Signatures that are looked at: each digests the file again.
const MAX_SIGNATURES: usize = 8;

const BEGIN: &str = "-----BEGIN PGP SIGNATURE-----";

/// Checks the signature of a file while the file comes in.
pub struct Verifier {
    name: String,
    candidates: Vec<Candidate>,
}

impl Verifier {
    /// A verifier for the file that `signature`, armored or binary, is of. `name` is the signature's own, for errors.
    ///
    /// Whatever can be known without the file is an error here already, such as a key that is not in the keyring.
    pub fn new(keyring: &Keyring, name: &str, signature: &[u8]) -> Result<Self, SignatureError> {
        Self::at(keyring, name, signature, SystemTime::now())
    }

    /// As [`new`](Self::new), with another clock.
    pub(super) fn at(
        keyring: &Keyring,
        name: &str,
        signature: &[u8],
        now: SystemTime,
    ) -> Result<Self, SignatureError> {
        if signature.len() > MAX_SIGNATURE_BYTES {
            return Err(SignatureError::TooLarge {
                name: name.to_owned(),
            });
        }
        let unreadable = |source| SignatureError::Unreadable {
            name: name.to_owned(),
            source,
        };
        let signatures = packets::read::<DetachedSignature>(signature, BEGIN)
            .map_err(|source| unreadable(Some(source.into())))?;
        let judge = Judge {
            keyring,
            name,
            now: times::seconds(now),
        };
        let mut candidates = Vec::new();
        let mut refusals = Vec::new();
        for found in signatures.into_iter().take(MAX_SIGNATURES) {
            match judge.candidate(found.signature) {
                Ok(candidate) => candidates.push(candidate),
                Err(refusal) => refusals.push(refusal),
            }
        }
        if candidates.is_empty() {
            // What a known key did wrong says more than that another is not known.
            let telling =
                |refusal: &SignatureError| !matches!(refusal, SignatureError::UnknownKey { .. });
            let at = refusals.iter().position(telling).unwrap_or_default();
            let refusal = refusals.into_iter().nth(at);
            return Err(refusal.unwrap_or_else(|| unreadable(None)));
        }
        Ok(Self {
            name: name.to_owned(),
            candidates,
        })
    }

    /// Takes the next bytes of the file.
    pub fn update(&mut self, bytes: &[u8]) {
        for candidate in &mut self.candidates {
            candidate.digest.update(bytes);
        }
    }

    /// Says who signed the file, all of which was given.
    pub fn finish(self) -> Result<Signer, SignatureError> {
        let mut wrong = None;
        for candidate in self.candidates {
            match candidate.finish() {
                Ok(signer) => return Ok(signer),
                Err(signer) => wrong = wrong.or(signer),
            }
        }
        Err(match wrong {
            Some(key) => SignatureError::Wrong {
                name: self.name,
                key: Box::new(key),
            },
            None => SignatureError::Unreadable {
                name: self.name,
                source: None,
            },
        })
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.candidates.iter().flat_map(|candidate| &candidate.keys);
        let signers = keys.map(|(_, signer)| signer);
        f.debug_struct("Verifier")
            .field("name", &self.name)
            .field("signers", &signers.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
