//! Which signatures may be good, by what can be known without the file.

use digest::DynDigest;
use pgp::composed::{SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType, SignatureVersionSpecific, SubpacketData};
use pgp::types::{KeyDetails, KeyVersion};

use super::candidate::{Candidate, SigningKey};
use super::error::SignatureError;
use super::key::{self, Fault, TOLERANCE};
use super::keyring::Keyring;
use super::signer::Signer;
use super::times;

/// What a signature is judged by, before the file is known.
pub(super) struct Judge<'a> {
    pub(super) keyring: &'a Keyring,
    /// The signature's name, for errors.
    pub(super) name: &'a str,
    pub(super) now: u64,
}

impl Judge<'_> {
    /// The signature with the keys that may have made it, if there is one.
    pub(super) fn candidate(&self, signature: Signature) -> Result<Candidate, SignatureError> {
        let (made, algorithm) = self.terms(&signature)?;
        let digest = self.digest(&signature, algorithm)?;
        let mut keys = Vec::new();
        let mut refusal = None;
        for (key, subkey) in self.issuers(&signature) {
            let part = subkey.map(|subkey| &subkey.key);
            let signer = Signer::of(key, part, self.now);
            match key::judge(key, subkey, made, self.now) {
                Ok(()) => {
                    let key = match part {
                        Some(subkey) => SigningKey::Subkey(Box::new(subkey.clone())),
                        None => SigningKey::Primary(Box::new(key.primary_key.clone())),
                    };
                    keys.push((key, signer));
                }
                Err(fault) => {
                    refusal.get_or_insert_with(|| self.refusal(fault, made, Box::new(signer)));
                }
            }
        }
        if keys.is_empty() {
            return Err(refusal.unwrap_or_else(|| SignatureError::UnknownKey {
                name: self.name.to_owned(),
                issuers: issuers(&signature),
            }));
        }
        Ok(Candidate {
            signature,
            keys,
            digest,
        })
    }

    /// When the signature was made and what it digests by, if it is of a kind that is believed.
    fn terms(&self, signature: &Signature) -> Result<(u64, HashAlgorithm), SignatureError> {
        let name = || self.name.to_owned();
        let unsupported = |what| SignatureError::Unsupported { name: name(), what };
        let Some(config) = signature.config() else {
            return Err(unsupported("its version is not known here"));
        };
        if matches!(
            config.version_specific,
            SignatureVersionSpecific::V2 { .. } | SignatureVersionSpecific::V3 { .. }
        ) {
            return Err(unsupported("its version is too old"));
        }
        if config.typ() != SignatureType::Binary {
            return Err(SignatureError::NotBinary { name: name() });
        }
        let strong = matches!(
            config.hash_alg,
            HashAlgorithm::Sha256
                | HashAlgorithm::Sha384
                | HashAlgorithm::Sha512
                | HashAlgorithm::Sha3_256
                | HashAlgorithm::Sha3_512
        );
        if !strong {
            return Err(SignatureError::WeakDigest {
                name: name(),
                digest: config.hash_alg.to_string(),
            });
        }
        let odd = config
            .hashed_subpackets()
            .any(|subpacket| match &subpacket.data {
                SubpacketData::EmbeddedSignature(_) => true,
                SubpacketData::Notation(_) => subpacket.is_critical,
                _ => false,
            });
        if odd {
            return Err(unsupported("it has conditions that are not known here"));
        }
        let made = key::created(signature).ok_or_else(|| unsupported("it has no time"))?;
        if made > self.now + TOLERANCE {
            return Err(SignatureError::Future {
                name: name(),
                made: times::text(made),
            });
        }
        match key::ends(signature) {
            Some(until) if self.now >= until => Err(SignatureError::Outdated {
                name: name(),
                until: times::text(until),
            }),
            _ => Ok((made, config.hash_alg)),
        }
    }

    /// The keys and subkeys that a signature names; all of them where it names none.
    fn issuers(
        &self,
        signature: &Signature,
    ) -> Vec<(&SignedPublicKey, Option<&SignedPublicSubKey>)> {
        let mut found = Vec::new();
        for key in &self.keyring.keys {
            if is_issuer(signature, &key.primary_key) {
                found.push((key, None));
            }
            for subkey in &key.public_subkeys {
                if is_issuer(signature, &subkey.key) {
                    found.push((key, Some(subkey)));
                }
            }
        }
        found
    }

    /// A digest of nothing yet, or of the salt that signatures of version 6 begin with.
    fn digest(
        &self,
        signature: &Signature,
        algorithm: HashAlgorithm,
    ) -> Result<Box<dyn DynDigest + Send>, SignatureError> {
        let unsupported = |what| SignatureError::Unsupported {
            name: self.name.to_owned(),
            what,
        };
        let mut digest = algorithm
            .new_hasher()
            .map_err(|_| unsupported("its digest is not known here"))?;
        let version = signature.config().map(|config| &config.version_specific);
        if let Some(SignatureVersionSpecific::V6 { salt }) = version {
            if algorithm.salt_len() != Some(salt.len()) {
                return Err(unsupported(
                    "its salt has another length than its digest needs",
                ));
            }
            digest.update(salt);
        }
        Ok(digest)
    }

    fn refusal(&self, fault: Fault, made: u64, key: Box<Signer>) -> SignatureError {
        let name = self.name.to_owned();
        let bad = |why, key| SignatureError::BadKey {
            name: self.name.to_owned(),
            why,
            key,
        };
        match fault {
            Fault::Unbound(why) => bad(why, key),
            Fault::NotForSigning => bad("it is for something else", key),
            Fault::Younger => bad("it is younger than the signature", key),
            Fault::Expired { at } => SignatureError::Expired {
                name,
                made: times::text(made),
                expired: times::text(at),
                key,
            },
            Fault::Revoked { at, reason } => SignatureError::Revoked {
                name,
                revoked: times::text(at),
                reason,
                key,
            },
        }
    }
}

/// Whether a signature names a key, or names none at all. Keys of version 6 and signatures of that version are for
/// each other alone.
fn is_issuer(signature: &Signature, key: &impl KeyDetails) -> bool {
    let version = signature.config().map(|config| &config.version_specific);
    let six = matches!(version, Some(SignatureVersionSpecific::V6 { .. }));
    if six != (key.version() == KeyVersion::V6) {
        return false;
    }
    let fingerprints = signature.issuer_fingerprint();
    let ids = signature.issuer_key_id();
    if fingerprints.is_empty() {
        ids.is_empty() || ids.contains(&&key.legacy_key_id())
    } else {
        fingerprints.contains(&&key.fingerprint())
    }
}

/// What a signature says of who made it.
fn issuers(signature: &Signature) -> Vec<String> {
    let fingerprints = signature.issuer_fingerprint();
    let mut names: Vec<String> = fingerprints
        .iter()
        .map(|print| format!("{print:X}"))
        .collect();
    if names.is_empty() {
        let ids = signature.issuer_key_id();
        names = ids.iter().map(|id| id.to_string().to_uppercase()).collect();
    }
    names.dedup();
    names.truncate(4);
    if names.is_empty() {
        names.push("it does not say which".to_owned());
    }
    names
}
