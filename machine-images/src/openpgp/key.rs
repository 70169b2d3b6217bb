//! Whether a key was good for a signature of a certain time, by what the key says of itself.
//!
//! The crate `pgp` reads signatures of keys and checks single ones; which of them counts is decided here. Only what a
//! key says of itself counts: signatures of others, and keys that may revoke in its place, are not looked at. These
//! self-signatures may be by SHA-1, which Red Hat's key of 2009 uses: they are of text that the key's holder chose, so
//! that collisions are of no use, and the crate recognises the known attack on it.

use pgp::composed::{SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{KeyFlags, RevocationCode, Signature, SignatureType, SubpacketData};
use pgp::types::{KeyDetails, SignedUser, Tag};

/// How far a time may lie ahead, in seconds: clocks differ.
pub(super) const TOLERANCE: u64 = 24 * 60 * 60;

/// Why a key was not good for a signature. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A part of the key is missing or not signed by the key itself.
    Unbound(&'static str),
    /// It is for something else.
    NotForSigning,
    /// It was made later.
    Younger,
    Expired {
        at: u64,
    },
    Revoked {
        at: u64,
        reason: String,
    },
}

/// Judges a key, or a subkey of it, for a signature that was made at the time `made`.
pub(super) fn judge(
    key: &SignedPublicKey,
    subkey: Option<&SignedPublicSubKey>,
    made: u64,
    now: u64,
) -> Result<(), Fault> {
    let primary = &key.primary_key;
    let revocations = key.details.revocation_signatures.iter();
    not_revoked(
        revocations.filter(|revocation| {
            revocation.typ() == Some(SignatureType::KeyRevocation)
                && revocation.verify_key(primary).is_ok()
        }),
        made,
    )?;
    let own = own_signature(key, now).ok_or(Fault::Unbound(
        "it has no signature of its own that binds its user ID",
    ))?;
    in_its_time(primary, own, made)?;
    let Some(subkey) = subkey else {
        // Keys from before there were flags are for all purposes.
        return match flags(own) {
            Some(flags) if !flags.sign() => Err(Fault::NotForSigning),
            _ => Ok(()),
        };
    };

    let of_type = |wanted| {
        subkey.signatures.iter().filter(move |signature| {
            signature.typ() == Some(wanted)
                && signature
                    .verify_subkey_binding(primary, &subkey.key)
                    .is_ok()
        })
    };
    not_revoked(of_type(SignatureType::SubkeyRevocation), made)?;
    let binding = newest(of_type(SignatureType::SubkeyBinding), now)
        .ok_or(Fault::Unbound("its primary key does not bind it"))?;
    in_its_time(&subkey.key, binding, made)?;
    if !flags(binding).is_some_and(KeyFlags::sign) {
        return Err(Fault::NotForSigning);
    }
    // Without the way back a key could adopt the subkey of another.
    let back = binding
        .embedded_signature()
        .filter(|back| is_strong_enough(back));
    match back {
        Some(back)
            if back
                .verify_primary_key_binding(&subkey.key, primary)
                .is_ok() =>
        {
            Ok(())
        }
        Some(_) => Err(Fault::Unbound(
            "its own signature of its primary key is wrong",
        )),
        None => Err(Fault::Unbound("it has not signed its primary key")),
    }
}

/// The user ID that the key calls its main one, or the one that it certified last.
pub(super) fn user_id(key: &SignedPublicKey, now: u64) -> Option<&[u8]> {
    let certified = key.details.users.iter().filter_map(|user| {
        certification(key, user, now).map(|own| ((own.is_primary(), created(own)), user))
    });
    certified
        .max_by_key(|(rank, _)| *rank)
        .map(|(_, user)| user.id.id())
}

/// What the key said of itself last. Of two of the same second the one with the earlier end counts.
fn own_signature(key: &SignedPublicKey, now: u64) -> Option<&Signature> {
    let direct = key.details.direct_signatures.iter().filter(|signature| {
        signature.typ() == Some(SignatureType::Key)
            && signature.verify_key(&key.primary_key).is_ok()
    });
    let users = key.details.users.iter();
    let certifications = users.filter_map(|user| certification(key, user, now));
    newest(direct.chain(certifications), now)
}

/// The key's own certification of a user ID, unless it was revoked later.
fn certification<'a>(
    key: &SignedPublicKey,
    user: &'a SignedUser,
    now: u64,
) -> Option<&'a Signature> {
    let own = user.signatures.iter().filter(|signature| {
        signature
            .verify_certification(&key.primary_key, Tag::UserId, &user.id)
            .is_ok()
    });
    newest(own, now).filter(|own| own.typ() != Some(SignatureType::CertRevocation))
}

fn newest<'a>(signatures: impl Iterator<Item = &'a Signature>, now: u64) -> Option<&'a Signature> {
    signatures
        .filter(|signature| is_strong_enough(signature))
        .filter(|signature| created(signature).is_some_and(|at| at <= now + TOLERANCE))
        .filter(|signature| ends(signature).is_none_or(|at| now < at))
        .max_by_key(|signature| {
            let lifetime = lifetime(signature).unwrap_or(u64::MAX);
            (created(signature), u64::MAX - lifetime)
        })
}

fn is_strong_enough(signature: &Signature) -> bool {
    matches!(
        signature.hash_alg(),
        Some(
            HashAlgorithm::Sha1
                | HashAlgorithm::Sha224
                | HashAlgorithm::Sha256
                | HashAlgorithm::Sha384
                | HashAlgorithm::Sha512
                | HashAlgorithm::Sha3_256
                | HashAlgorithm::Sha3_512
        )
    )
}

fn in_its_time(key: &impl KeyDetails, own: &Signature, made: u64) -> Result<(), Fault> {
    let born = u64::from(key.created_at().as_secs());
    if made < born {
        return Err(Fault::Younger);
    }
    match lifetime(own) {
        Some(lifetime) if made >= born + lifetime => Err(Fault::Expired {
            at: born + lifetime,
        }),
        _ => Ok(()),
    }
}

fn not_revoked<'a>(
    mut revocations: impl Iterator<Item = &'a Signature>,
    made: u64,
) -> Result<(), Fault> {
    let counts = |revocation: &&Signature| {
        let harmless = matches!(
            revocation.revocation_reason_code(),
            Some(
                RevocationCode::KeySuperseded
                    | RevocationCode::KeyRetired
                    | RevocationCode::CertUserIdInvalid
            )
        );
        !harmless || created(revocation).is_none_or(|at| at <= made)
    };
    match revocations.find(counts) {
        None => Ok(()),
        Some(revocation) => Err(Fault::Revoked {
            at: created(revocation).unwrap_or_default(),
            reason: reason(revocation.revocation_reason_code()).to_owned(),
        }),
    }
}

fn reason(code: Option<&RevocationCode>) -> &'static str {
    match code {
        Some(RevocationCode::KeyCompromised) => "others may have it",
        Some(RevocationCode::KeySuperseded) => "another key took its place",
        Some(RevocationCode::KeyRetired) => "it is no longer used",
        _ => "no reason is given",
    }
}

pub(super) fn created(signature: &Signature) -> Option<u64> {
    signature.created().map(|at| at.as_secs().into())
}

/// When the signature itself ends.
pub(super) fn ends(signature: &Signature) -> Option<u64> {
    let lifetime = signature.signature_expiration_time()?.as_secs();
    let created = created(signature)?;
    (lifetime != 0).then(|| created + u64::from(lifetime))
}

/// How long the key lives that the signature is of.
fn lifetime(signature: &Signature) -> Option<u64> {
    let lifetime = signature.key_expiration_time()?.as_secs();
    (lifetime != 0).then(|| lifetime.into())
}

/// What the key is for; `None` where nothing says so.
fn flags(signature: &Signature) -> Option<&KeyFlags> {
    signature
        .config()?
        .hashed_subpackets()
        .find_map(|subpacket| match &subpacket.data {
            SubpacketData::KeyFlags(flags) => Some(flags),
            _ => None,
        })
}
