//! A signature that may be good, and its digest of the file.

use digest::DynDigest;
use pgp::packet::{PublicKey, PublicSubkey, Signature};
use pgp::types::VerifyingKey;

use super::signer::Signer;

/// A signature that is good if the file is the one that it is of.
pub(super) struct Candidate {
    pub(super) signature: Signature,
    /// Who may have made it: one, unless it does not say which.
    pub(super) keys: Vec<(SigningKey, Signer)>,
    /// What has come in of the file.
    pub(super) digest: Box<dyn DynDigest + Send>,
}

pub(super) enum SigningKey {
    Primary(Box<PublicKey>),
    Subkey(Box<PublicSubkey>),
}

impl Candidate {
    /// Who made the signature, if it is of what was digested; else who is named as its maker.
    pub(super) fn finish(mut self) -> Result<Signer, Option<Signer>> {
        let made_by = self.digest().and_then(|digest| {
            let made = |(key, _): &(SigningKey, Signer)| key.verify(&self.signature, &digest);
            self.keys.iter().position(made)
        });
        match made_by {
            Some(at) => Ok(self.keys.swap_remove(at).1),
            None => Err(self.keys.into_iter().next().map(|(_, signer)| signer)),
        }
    }

    /// The digest of the file and of the signature's own data, which come after it: that is what makes its time and
    /// the rest of it true. `None` where it differs from the beginning that the signature holds.
    fn digest(&mut self) -> Option<Box<[u8]>> {
        let config = self.signature.config()?;
        let length = config.hash_signature_data(&mut self.digest).ok()?;
        self.digest.update(&config.trailer(length).ok()?);
        let digest = self.digest.finalize_reset();
        let start = self.signature.signed_hash_value()?;
        digest.starts_with(&start).then_some(digest)
    }
}

impl SigningKey {
    fn verify(&self, signature: &Signature, digest: &[u8]) -> bool {
        let (Some(algorithm), Some(bytes)) = (signature.hash_alg(), signature.signature()) else {
            return false;
        };
        let found = match self {
            Self::Primary(key) => key.verify(algorithm, digest, bytes),
            Self::Subkey(key) => key.verify(algorithm, digest, bytes),
        };
        found.is_ok()
    }
}
