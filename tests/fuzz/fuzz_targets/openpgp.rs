//! A file of keys and a signature, as a user, a mirror or an attacker may give them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use machine_images::openpgp::{Keyring, Verifier};

const KEY: &[u8] = include_bytes!("../../../machine-images/src/openpgp/fixtures/subkey.gpg");
const SIGNATURE: &[u8] = include_bytes!("../../../machine-images/src/openpgp/fixtures/subkey.sig");

fuzz_target!(|input: &[u8]| {
    // Both from the input, and each of them with a good other one.
    let (cut, input) = match input.split_first_chunk::<2>() {
        Some((cut, input)) => (usize::from(u16::from_le_bytes(*cut)), input),
        None => return,
    };
    let (key, signature) = input.split_at(cut.min(input.len()));
    for (key, signature) in [(key, signature), (input, SIGNATURE), (KEY, input)] {
        let mut keyring = Keyring::new();
        if keyring.add("fuzz", key).is_err() {
            continue;
        }
        let text = format!("{:?}", keyring.keys());
        assert!(!text.contains('\u{1b}'));
        match Verifier::new(&keyring, "fuzz", signature) {
            Ok(mut verifier) => {
                verifier.update(b"a file that the good key has not signed");
                assert!(verifier.finish().is_err() || key != KEY);
            }
            Err(error) => assert!(!error.to_string().contains('\u{1b}')),
        }
    }
});
