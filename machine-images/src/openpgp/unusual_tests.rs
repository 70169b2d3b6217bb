//! Keys and signatures that gpg does not make: of version 6, with conditions, without a time, and old ones.

use pgp::composed::{
    DetachedSignature, KeyType, SecretKeyParamsBuilder, SignedSecretKey, SubpacketConfig,
};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Notation, Subpacket, SubpacketData};
use pgp::ser::Serialize;
use pgp::types::{KeyDetails, KeyVersion, Password, Timestamp};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;

const FILE: &[u8] = b"a file";

fn random() -> StdRng {
    StdRng::seed_from_u64(1)
}

fn key(version: KeyVersion) -> SignedSecretKey {
    let mut parameters = SecretKeyParamsBuilder::default();
    parameters
        .version(version)
        .key_type(KeyType::Ed25519)
        .can_sign(true)
        .primary_user_id("me\u{1b}[2J <me@example.com>".to_owned());
    parameters.build().unwrap().generate(random()).unwrap()
}

fn keyring(key: &SignedSecretKey) -> Keyring {
    let mut keyring = Keyring::new();
    let public = key.to_public_key().to_bytes().unwrap();
    keyring.add("key", &public).unwrap();
    keyring
}

fn sign(key: &SignedSecretKey, subpackets: SubpacketConfig) -> Vec<u8> {
    let signature = DetachedSignature::sign_binary_data_with_subpackets(
        random(),
        &key.primary_key,
        &Password::empty(),
        HashAlgorithm::Sha512,
        FILE,
        subpackets,
    );
    signature.unwrap().to_bytes().unwrap()
}

fn verify(key: &SignedSecretKey, signature: &[u8]) -> Result<Signer, SignatureError> {
    let mut verifier = Verifier::new(&keyring(key), "file.sig", signature)?;
    verifier.update(FILE);
    verifier.finish()
}

fn with(hashed: Vec<SubpacketData>, critical: bool) -> SubpacketConfig {
    let subpacket = |data| {
        if critical {
            Subpacket::critical(data).unwrap()
        } else {
            Subpacket::regular(data).unwrap()
        }
    };
    SubpacketConfig::UserDefined {
        hashed: hashed.into_iter().map(subpacket).collect(),
        unhashed: Vec::new(),
    }
}

fn time() -> SubpacketData {
    SubpacketData::SignatureCreationTime(Timestamp::now())
}

#[test]
fn keys_of_both_versions_are_good() {
    for version in [KeyVersion::V4, KeyVersion::V6] {
        let key = key(version);
        let signature = sign(&key, SubpacketConfig::Default);
        let signer = verify(&key, &signature).unwrap();
        assert_eq!(signer.fingerprint, format!("{:X}", key.fingerprint()));
        let user_id = "me\u{fffd}[2J <me@example.com>";
        assert_eq!(signer.user_id.as_deref(), Some(user_id));
        let mut verifier = Verifier::new(&keyring(&key), "file.sig", &signature).unwrap();
        verifier.update(b"another file");
        let error = verifier.finish().unwrap_err();
        assert!(matches!(error, SignatureError::Wrong { .. }), "{error:?}");
    }
}

#[test]
fn a_signature_may_not_say_whose_it_is() {
    let key = key(KeyVersion::V4);
    let signature = sign(&key, with(vec![time()], false));
    verify(&key, &signature).unwrap();
    let error = Verifier::new(&Keyring::new(), "file.sig", &signature).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("not known here: it does not say which")
    );
}

fn refusal(signature: &[u8]) -> String {
    verify(&key(KeyVersion::V4), signature)
        .unwrap_err()
        .to_string()
}

#[test]
fn a_signature_needs_a_time() {
    let signature = sign(&key(KeyVersion::V4), with(Vec::new(), false));
    assert_eq!(
        refusal(&signature),
        "Signature `file.sig` cannot be checked: it has no time"
    );
}

#[test]
fn conditions_that_are_not_known_are_not_passed_over() {
    let note = || {
        SubpacketData::Notation(Notation {
            readable: true,
            name: "on@example.com".into(),
            value: "Sundays".into(),
        })
    };
    let key = key(KeyVersion::V4);
    verify(&key, &sign(&key, with(vec![time(), note()], false))).unwrap();
    let expected =
        "Signature `file.sig` cannot be checked: it has conditions that are not known here";
    assert_eq!(
        refusal(&sign(&key, with(vec![time(), note()], true))),
        expected
    );
}

#[test]
fn old_versions_are_refused() {
    // Version 3: of a binary file, without a time, by an RSA key and SHA-256, with the number 1 as the signature.
    let mut signature = vec![0x88, 22, 3, 5, 0, 0, 0, 0, 0];
    signature.extend([1; 8]);
    signature.extend([1, 8, 0, 0, 0, 1, 1]);
    assert_eq!(
        refusal(&signature),
        "Signature `file.sig` cannot be checked: its version is too old"
    );
    // Version 9.
    assert_eq!(
        refusal(&[0x88, 3, 9, 0, 0]),
        "Signature `file.sig` cannot be checked: its version is not known here"
    );
}
