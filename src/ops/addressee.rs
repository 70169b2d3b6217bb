//! Whom a command line of a machine and a program means.

use std::ffi::OsString;

use crate::machine::MachineName;
use crate::store::{Store, StoreError, StoredMachine};

/// The machine that `words` name, and the words of the program: a first word that is no machine's name belongs to the
/// program, which then is the default machine's (spec 1.4.9). An empty name is the default machine's.
pub fn addressee<'w>(
    store: &Store,
    words: &'w [OsString],
) -> Result<(StoredMachine, &'w [OsString]), StoreError> {
    if let [first, rest @ ..] = words
        && let Some(name) = first.to_str()
    {
        if name.is_empty() {
            return Ok((store.find(MachineName::DEFAULT)?, rest));
        }
        match store.find(name) {
            Err(StoreError::NotFound { .. }) => {}
            // A machine, be it a damaged one.
            found => return Ok((found?, rest)),
        }
    }
    Ok((store.find(MachineName::DEFAULT)?, words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::Bench;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn the_first_word_may_be_a_machine() {
        let bench = Bench::new();
        bench.make("vm");
        let error = addressee(&bench.store, &words(&["ls", "vm"])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "podman-machine-default: VM does not exist"
        );
        bench.make(MachineName::DEFAULT);
        for (line, machine, rest) in [
            (&["vm", "ls"][..], "vm", &["ls"][..]),
            (&["ls", "vm"], MachineName::DEFAULT, &["ls", "vm"]),
            (&["", "ls"], MachineName::DEFAULT, &["ls"]),
            (&["vm"], "vm", &[]),
            (&[], MachineName::DEFAULT, &[]),
            (&["/bin/ls"], MachineName::DEFAULT, &["/bin/ls"]),
        ] {
            let line = words(line);
            let (found, left) = addressee(&bench.store, &line).unwrap();
            assert_eq!(found.config.name.as_str(), machine, "{line:?}");
            assert_eq!(left, words(rest), "{line:?}");
        }
    }
}
