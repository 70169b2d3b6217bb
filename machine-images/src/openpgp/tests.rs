//! Signatures that gpg made, and what must not pass for one.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pgp::composed::SignedPublicKey;
use pgp::packet::{Signature, Subpacket, SubpacketData};
use pgp::types::KeyDetails;
use proptest::prelude::*;

use super::*;

/// What fixtures/make signs.
const SIGNED: &[u8] = b"What is signed.\nIt has two lines.\n";

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("fixtures/", $name)).as_slice()
    };
}

/// The first day of 2026.
fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_hours(20454 * 24)
}

fn keyring(files: &[&[u8]]) -> Keyring {
    let mut keyring = Keyring::new();
    for file in files {
        keyring.add("key file", file).unwrap();
    }
    keyring
}

fn verify_with(keyring: &Keyring, signature: &[u8], file: &[u8]) -> Result<Signer, SignatureError> {
    let mut verifier = Verifier::at(keyring, "disk.sig", signature, now())?;
    for piece in file.chunks(5) {
        verifier.update(piece);
    }
    verifier.finish()
}

fn verify(key: &[u8], signature: &[u8]) -> Result<Signer, SignatureError> {
    verify_with(&keyring(&[key]), signature, SIGNED)
}

fn refusal(key: &[u8], signature: &[u8]) -> String {
    let error = verify(key, signature).unwrap_err();
    assert!(!error.hints().is_empty());
    error.to_string()
}

/// The only key of a file.
fn key(file: &[u8]) -> SignedPublicKey {
    keyring(&[file]).keys.remove(0)
}

fn fingerprint(file: &[u8]) -> String {
    format!("{:X}", key(file).fingerprint())
}

fn subkey_fingerprint(file: &[u8]) -> String {
    format!("{:X}", key(file).public_subkeys[0].fingerprint())
}

#[test]
fn a_signature_by_the_primary_key_is_good() {
    let key = fixture!("primary.asc");
    for signature in [
        fixture!("primary.sig"),
        fixture!("primary-armored.sig"),
        fixture!("sha512.sig"),
    ] {
        let signer = verify(key, signature).unwrap();
        let expected = Signer {
            fingerprint: fingerprint(key),
            subkey: None,
            user_id: Some("primary <primary@example.com>".to_owned()),
        };
        assert_eq!(signer, expected);
        let text = format!("primary <primary@example.com>, {}", fingerprint(key));
        assert_eq!(signer.to_string(), text);
    }
}

#[test]
fn a_signature_by_a_subkey_is_good() {
    let key = fixture!("subkey.gpg");
    let signer = verify(key, fixture!("subkey.sig")).unwrap();
    assert_eq!(signer.fingerprint, fingerprint(key));
    assert_eq!(signer.subkey, Some(subkey_fingerprint(key)));
    assert!(signer.to_string().contains(", subkey "));
}

#[test]
fn another_file_is_wrong() {
    for (key, signature) in [
        (fixture!("primary.asc"), fixture!("primary.sig")),
        (fixture!("subkey.gpg"), fixture!("subkey.sig")),
    ] {
        for file in [&SIGNED[1..], &SIGNED[..5], b"", &[SIGNED, b"\n"].concat()] {
            let error = verify_with(&keyring(&[key]), signature, file).unwrap_err();
            let SignatureError::Wrong { key: signer, .. } = &error else {
                panic!("{error:?}")
            };
            assert_eq!(signer.fingerprint, fingerprint(key));
            let start = "The file does not match its signature `disk.sig` by ";
            assert!(error.to_string().starts_with(start), "{error}");
        }
    }
}

#[test]
fn a_key_that_is_not_known_is_named_before_there_is_a_file() {
    let keyring = keyring(&[fixture!("primary.asc"), fixture!("subkey.gpg")]);
    let error = Verifier::at(&keyring, "disk.sig", fixture!("foreign.sig"), now()).unwrap_err();
    let expected = format!(
        "Signature `disk.sig` is by a key that is not known here: {}",
        fingerprint(fixture!("foreign.asc"))
    );
    assert_eq!(error.to_string(), expected);
    let hints = error.hints();
    assert!(hints[0].contains("a newer release of this program"));
    assert!(hints[1].contains("`*.asc` or `*.gpg` into the directory `keys`"));
    Verifier::at(&Keyring::new(), "disk.sig", fixture!("foreign.sig"), now()).unwrap_err();
}

#[test]
fn one_known_key_of_two_suffices() {
    for signature in [fixture!("two.sig"), fixture!("two-armored.sig")] {
        for key in [fixture!("primary.asc"), fixture!("foreign.asc")] {
            let signer = verify(key, signature).unwrap();
            assert_eq!(signer.fingerprint, fingerprint(key));
        }
        let both = keyring(&[fixture!("primary.asc"), fixture!("foreign.asc")]);
        let error = verify_with(&both, signature, b"another file").unwrap_err();
        assert!(matches!(error, SignatureError::Wrong { .. }), "{error:?}");
        let text = refusal(fixture!("subkey.gpg"), signature);
        assert!(text.contains("not known here"), "{text}");
    }
}

#[test]
fn what_a_known_key_did_wrong_is_told_before_that_another_is_not_known() {
    let signatures = [fixture!("foreign.sig"), fixture!("sha1.sig")].concat();
    let text = refusal(fixture!("primary.asc"), &signatures);
    assert!(text.contains("SHA1, which is too weak"), "{text}");
}

#[test]
fn an_expired_key_is_good_for_what_it_signed_before() {
    let key = fixture!("expired.asc");
    verify(key, fixture!("expired-before.sig")).unwrap();
    let expected = format!(
        "Signature `disk.sig` was made at 2022-01-01T00:00:00Z by a key that expired at 2021-06-01T00:00:00Z: \
         expired <expired@example.com>, {}",
        fingerprint(key)
    );
    assert_eq!(refusal(key, fixture!("expired.sig")), expected);
}

#[test]
fn the_last_word_of_a_key_counts() {
    let later = fixture!("expired-no-more.asc");
    verify(later, fixture!("expired.sig")).unwrap();
    for files in [
        [fixture!("expired.asc"), later],
        [later, fixture!("expired.asc")],
    ] {
        let keyring = keyring(&files);
        assert_eq!(keyring.keys().len(), 1);
        verify_with(&keyring, fixture!("expired.sig"), SIGNED).unwrap();
    }
}

#[test]
fn an_expired_subkey_is_good_for_what_it_signed_before() {
    let key = fixture!("expired-subkey.asc");
    verify(key, fixture!("expired-subkey-before.sig")).unwrap();
    let text = refusal(key, fixture!("expired-subkey.sig"));
    assert!(text.contains("expired at 2021-06-01T00:00:00Z"), "{text}");
    assert!(text.ends_with(&subkey_fingerprint(key)), "{text}");
}

#[test]
fn a_key_that_others_have_is_never_good() {
    let before = fixture!("revoked-before.asc");
    let signature = fixture!("revoked.sig");
    verify(before, signature).unwrap();
    let key = fixture!("revoked.asc");
    let expected = format!(
        "Signature `disk.sig` is by a key that was revoked at 2022-01-01T00:00:00Z, because others may have it: \
         revoked <revoked@example.com>, {}",
        fingerprint(key)
    );
    assert_eq!(refusal(key, signature), expected);
    // A user who adds the revoked key is not overruled by an older copy.
    for files in [[before, key], [key, before]] {
        let error = verify_with(&keyring(&files), signature, SIGNED).unwrap_err();
        assert!(matches!(error, SignatureError::Revoked { .. }), "{error:?}");
    }
}

#[test]
fn a_key_that_was_replaced_is_good_for_what_it_signed_before() {
    let key = fixture!("superseded.asc");
    verify(key, fixture!("superseded-before.sig")).unwrap();
    let text = refusal(key, fixture!("superseded.sig"));
    assert!(
        text.contains("because another key took its place"),
        "{text}"
    );
}

#[test]
fn a_revoked_subkey_is_refused() {
    let text = refusal(
        fixture!("revoked-subkey.asc"),
        fixture!("revoked-subkey.sig"),
    );
    assert!(text.contains("because no reason is given"), "{text}");
    assert!(text.contains(", subkey "), "{text}");
}

#[test]
fn a_key_for_something_else_is_refused() {
    let text = refusal(fixture!("certifies.asc"), fixture!("certifies.sig"));
    assert!(text.contains("for it is for something else"), "{text}");
}

#[test]
fn kinds_of_signatures_that_prove_too_little_are_refused() {
    let key = fixture!("primary.asc");
    for (signature, expected) in [
        (
            fixture!("sha1.sig"),
            "Signature `disk.sig` uses SHA1, which is too weak: SHA-256 or better is needed",
        ),
        (
            fixture!("text.sig"),
            "Signature `disk.sig` is not of a binary file",
        ),
        (
            fixture!("outdated.sig"),
            "Signature `disk.sig` was good until 2021-01-02T00:00:00Z only",
        ),
        (
            fixture!("future.sig"),
            "Signature `disk.sig` is of the future: it was made at 2100-01-01T00:00:00Z",
        ),
    ] {
        assert_eq!(refusal(key, signature), expected);
    }
}

#[test]
fn clocks_may_differ_by_a_day() {
    let keyring = keyring(&[fixture!("primary.asc")]);
    let made = UNIX_EPOCH + Duration::from_hours(47482 * 24);
    let day = Duration::from_hours(24);
    let check = |now| Verifier::at(&keyring, "disk.sig", fixture!("future.sig"), now);
    check(made - day).unwrap();
    check(made - day - Duration::from_secs(1)).unwrap_err();
}

#[test]
fn a_signature_from_before_its_key_is_refused() {
    let keyring = keyring(&[fixture!("primary.asc")]);
    let judged = key::judge(&keyring.keys[0], None, 1_577_836_799, 1_767_225_600);
    assert_eq!(judged, Err(key::Fault::Younger));
    key::judge(&keyring.keys[0], None, 1_577_836_800, 1_767_225_600).unwrap();
}

/// Where a binding holds the signature of the way back, which gpg does not protect by the binding's own.
fn back(binding: &Signature) -> usize {
    let is_back =
        |subpacket: &Subpacket| matches!(subpacket.data, SubpacketData::EmbeddedSignature(_));
    let config = binding.config().unwrap();
    config.unhashed_subpackets().position(is_back).unwrap()
}

fn verify_by(key: SignedPublicKey, signature: &[u8]) -> String {
    let keyring = Keyring { keys: vec![key] };
    verify_with(&keyring, signature, SIGNED)
        .unwrap_err()
        .to_string()
}

#[test]
fn a_subkey_must_sign_its_primary_key() {
    let mut key = key(fixture!("subkey.gpg"));
    let binding = &mut key.public_subkeys[0].signatures[0];
    binding.unhashed_subpacket_remove(back(binding)).unwrap();
    let text = verify_by(key, fixture!("subkey.sig"));
    assert!(
        text.contains("for it has not signed its primary key"),
        "{text}"
    );
}

#[test]
fn the_signature_of_the_way_back_must_be_right() {
    let mut other = key(fixture!("expired-subkey.asc"));
    let binding = &mut other.public_subkeys[0].signatures[0];
    let wrong = binding.unhashed_subpacket_remove(back(binding)).unwrap();
    let mut key = key(fixture!("subkey.gpg"));
    let binding = &mut key.public_subkeys[0].signatures[0];
    binding.unhashed_subpacket_remove(back(binding)).unwrap();
    binding.unhashed_subpacket_push(wrong).unwrap();
    let text = verify_by(key, fixture!("subkey.sig"));
    assert!(
        text.contains("its own signature of its primary key is wrong"),
        "{text}"
    );
}

#[test]
fn a_subkey_of_another_key_is_not_adopted() {
    let mut thief = key(fixture!("foreign.asc"));
    thief.public_subkeys = key(fixture!("subkey.gpg")).public_subkeys;
    let text = verify_by(thief, fixture!("subkey.sig"));
    assert!(
        text.contains("for its primary key does not bind it"),
        "{text}"
    );
}

#[test]
fn a_key_must_sign_its_user_id() {
    let mut thief = key(fixture!("foreign.asc"));
    thief.details.users = key(fixture!("primary.asc")).details.users;
    let text = verify_by(thief, fixture!("foreign.sig"));
    assert!(text.contains("no signature of its own"), "{text}");
    assert!(!text.contains("primary@example.com"), "{text}");
}

#[test]
fn what_is_no_signature_is_refused() {
    let good = fixture!("primary.sig");
    let armored = fixture!("primary-armored.sig");
    for bytes in [
        b"",
        &b"<html>"[..],
        b"-----BEGIN PGP SIGNATURE-----\n",
        &good[..1],
        &good[..100],
        &good[..good.len() - 1],
        &armored[..200],
        fixture!("primary.asc"),
        fixture!("subkey.gpg"),
    ] {
        let error = verify(fixture!("primary.asc"), bytes).unwrap_err();
        assert!(
            matches!(error, SignatureError::Unreadable { .. }),
            "{error:?}"
        );
        let expected = "`disk.sig` is not an OpenPGP signature, or is damaged";
        assert_eq!(error.to_string(), expected);
    }
    let error = verify(fixture!("primary.asc"), &vec![0; MAX_SIGNATURE_BYTES + 1]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Signature `disk.sig` is larger than 64 KiB"
    );
}

#[test]
fn many_signatures_are_not_all_looked_at() {
    let many = fixture!("foreign.sig").repeat(8);
    let signatures = [&many, fixture!("primary.sig")].concat();
    let text = refusal(fixture!("primary.asc"), &signatures);
    assert!(text.contains("not known here"), "{text}");
    verify(fixture!("primary.asc"), &signatures[119..]).unwrap();
}

#[test]
fn several_keys_may_be_in_a_file() {
    let armored = [fixture!("primary.asc"), fixture!("foreign.asc")].concat();
    assert_eq!(Keyring::new().add("keys", &armored).unwrap(), 2);
    let binary = fixture!("subkey.gpg").repeat(2);
    let mut keyring = Keyring::new();
    assert_eq!(keyring.add("keys", &binary).unwrap(), 2);
    assert_eq!(keyring.keys().len(), 1);
}

#[test]
fn what_is_no_key_is_refused() {
    for (bytes, expected) in [
        (&b""[..], "Key file `keys` holds no OpenPGP public key"),
        (b"A note.\n", "Key file `keys` holds no OpenPGP public key"),
        (
            fixture!("primary-armored.sig"),
            "Key file `keys` holds no OpenPGP public key",
        ),
        (
            &fixture!("primary.asc")[..300],
            "Key file `keys` cannot be read",
        ),
        (
            &vec![b'\n'; MAX_KEY_FILE_BYTES + 1],
            "Key file `keys` is larger than 4 MiB",
        ),
    ] {
        let mut keyring = Keyring::new();
        let error = keyring.add("keys", bytes).unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert_eq!(error.hints().len(), 1);
        assert!(keyring.keys().is_empty());
    }
}

#[test]
fn the_built_in_keys_are_fedoras_and_good() {
    let keyring = Keyring::fedora().unwrap();
    let keys = keyring.keys();
    let found: Vec<(&str, &str)> = keys
        .iter()
        .map(|key| (key.fingerprint.as_str(), key.user_id.as_deref().unwrap()))
        .collect();
    let expected = [
        (
            "36F612DCF27F7D1A48A835E4DBFCF71C6D9F90A6",
            "Fedora (44) <fedora-44-primary@fedoraproject.org>",
        ),
        (
            "4F50A6114CD5C6976A7F1179655A4B02F577861E",
            "Fedora (45) <fedora-45-primary@fedoraproject.org>",
        ),
        (
            "D924B10D3E810DABDD8B56B596E7E91491211FCE",
            "Fedora (46) <fedora-46-primary@fedoraproject.org>",
        ),
        (
            "567E347AD0044ADE55BA8A5F199E2F91FD431D51",
            "Red Hat, Inc. (release key 2) <security@redhat.com>",
        ),
    ];
    assert_eq!(found, expected);
    let now = now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 365 * 24 * 60 * 60;
    for key in &keyring.keys {
        key::judge(key, None, now, now).unwrap();
    }
}

proptest! {
    // Curves are slow without optimisation.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn garbage_gives_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600), binary: bool) {
        let mut bytes = bytes;
        if let (true, Some(first)) = (binary, bytes.first_mut()) {
            // A packet's header.
            *first |= 0xc0;
        }
        let _ = Keyring::new().add("keys", &bytes);
        let _ = verify(fixture!("primary.asc"), &bytes);
    }

    #[test]
    fn damaged_signatures_give_no_panic_and_no_other_signer(
        at in any::<prop::sample::Index>(), byte: u8, cut: bool, armored: bool,
    ) {
        let good = if armored { fixture!("primary-armored.sig") } else { fixture!("subkey.sig") };
        let mut damaged = good.to_vec();
        let at = at.index(damaged.len());
        damaged[at] = byte;
        if cut {
            damaged.truncate(at);
        }
        let keyring = keyring(&[fixture!("primary.asc"), fixture!("subkey.gpg")]);
        if let Ok(signer) = verify_with(&keyring, &damaged, SIGNED) {
            let key = if armored { fixture!("primary.asc") } else { fixture!("subkey.gpg") };
            prop_assert_eq!(signer.fingerprint, fingerprint(key));
        }
        prop_assert!(verify_with(&keyring, &damaged, b"another file").is_err());
    }

    #[test]
    fn damaged_keys_give_no_panic(at in any::<prop::sample::Index>(), byte: u8, cut: bool) {
        let mut damaged = fixture!("subkey.gpg").to_vec();
        let at = at.index(damaged.len());
        damaged[at] = byte;
        if cut {
            damaged.truncate(at);
        }
        let mut keyring = Keyring::new();
        if keyring.add("keys", &damaged).is_ok() {
            let _ = keyring.keys();
            let _ = verify_with(&keyring, fixture!("subkey.sig"), SIGNED);
        }
    }
}
