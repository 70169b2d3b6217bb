//! The keys that are trusted: Fedora's, and those that a user adds.

use std::fmt;
use std::time::SystemTime;

use pgp::composed::SignedPublicKey;
use pgp::types::KeyDetails;

use super::error::KeyringError;
use super::signer::Signer;
use super::{MAX_KEY_FILE_BYTES, packets, times};

/// The extensions of the files that a directory of keys is searched for.
pub const KEY_FILE_EXTENSIONS: [&str; 2] = ["asc", "gpg"];

const BEGIN: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";

macro_rules! built_in {
    ($($name:literal),* $(,)?) => {
        [$((
            concat!($name, " (built in)"),
            include_bytes!(concat!("../../keys/", $name)).as_slice(),
        )),*]
    };
}

/// What machine-images/keys holds; README.md there says from where.
const FEDORA: [(&str, &[u8]); 4] = built_in![
    "fedora-44.asc",
    "fedora-45.asc",
    "fedora-46.asc",
    "redhat-release-2.asc",
];

/// Public keys whose signatures are believed.
#[derive(Clone, Default)]
pub struct Keyring {
    pub(super) keys: Vec<SignedPublicKey>,
}

impl Keyring {
    /// A keyring without keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// The keys that sign Fedora CoreOS, which are built in.
    pub fn fedora() -> Result<Self, KeyringError> {
        let mut keyring = Self::new();
        for (name, bytes) in FEDORA {
            keyring.add(name, bytes)?;
        }
        Ok(keyring)
    }

    /// Adds all keys of a file, armored or binary, and says how many those are; of a file with an error none is added.
    /// `name` is the file's, for errors. What is new about a key that is there already is added to it, such as a later
    /// end or a revocation.
    pub fn add(&mut self, name: &str, bytes: &[u8]) -> Result<usize, KeyringError> {
        if bytes.len() > MAX_KEY_FILE_BYTES {
            return Err(KeyringError::TooLarge {
                name: name.to_owned(),
            });
        }
        let keys = packets::read::<SignedPublicKey>(bytes, BEGIN).map_err(|source| {
            KeyringError::Unreadable {
                name: name.to_owned(),
                source: Box::new(source),
            }
        })?;
        if keys.is_empty() {
            return Err(KeyringError::NoKey {
                name: name.to_owned(),
            });
        }
        let count = keys.len();
        for key in keys {
            match self.keys.iter_mut().find(|known| is_same(*known, &key)) {
                Some(known) => merge(known, key),
                None => self.keys.push(key),
            }
        }
        Ok(count)
    }

    /// The keys, in the order in which they were added.
    pub fn keys(&self) -> Vec<Signer> {
        let now = times::seconds(SystemTime::now());
        let signer = |key| Signer::of(key, None::<&SignedPublicKey>, now);
        self.keys.iter().map(signer).collect()
    }
}

fn is_same(one: &impl KeyDetails, other: &impl KeyDetails) -> bool {
    one.fingerprint() == other.fingerprint()
}

fn merge(known: &mut SignedPublicKey, key: SignedPublicKey) {
    let details = &mut known.details;
    let more = key.details;
    details
        .revocation_signatures
        .extend(more.revocation_signatures);
    details.direct_signatures.extend(more.direct_signatures);
    for user in more.users {
        match details.users.iter_mut().find(|known| known.id == user.id) {
            Some(known) => known.signatures.extend(user.signatures),
            None => details.users.push(user),
        }
    }
    for subkey in key.public_subkeys {
        let mut subkeys = known.public_subkeys.iter_mut();
        match subkeys.find(|known| is_same(&known.key, &subkey.key)) {
            Some(known) => known.signatures.extend(subkey.signatures),
            None => known.public_subkeys.push(subkey),
        }
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fingerprint = |key: &SignedPublicKey| format!("{:X}", key.fingerprint());
        f.debug_list()
            .entries(self.keys.iter().map(fingerprint))
            .finish()
    }
}
