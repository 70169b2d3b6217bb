//! Names: of machines, and of the user in the guest.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::machine::ProviderKind;

/// The longest machine name, in bytes. It keeps the paths of sockets short.
pub const LONGEST_NAME: usize = 30;

/// A machine's name: at most 30 bytes, begins with a letter or digit, goes on with those and `_`, `.`, `-`, and is not
/// the word for a provider.
///
/// Such a name can be a file name, part of a connection's name and part of a URL as it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MachineName(String);

/// Why a text is no name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    /// More than 30 bytes.
    #[error("machine name \"{0}\" must be 30 characters or less")]
    TooLong(String),
    /// Other characters than a name may have.
    #[error("invalid name \"{0}\": names must match [a-zA-Z0-9][a-zA-Z0-9_.-]*: invalid argument")]
    Characters(String),
    /// The word for a provider.
    #[error("cannot use \"{0}\" for a machine name")]
    ProviderWord(String),
    /// The user in the guest has a name with other characters than a name may have.
    #[error(
        "invalid username \"{0}\": names must match [a-zA-Z0-9][a-zA-Z0-9_.-]*: invalid argument"
    )]
    UserCharacters(String),
}

impl MachineName {
    /// The machine that is meant when no name is given. It is podman's, so that scripts find it.
    pub const DEFAULT: &str = "podman-machine-default";

    /// Checks a text that is to become a machine's name, in podman's order and with its texts.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.len() > LONGEST_NAME {
            return Err(NameError::TooLong(text.to_owned()));
        }
        if !is_plain_word(text) {
            return Err(NameError::Characters(text.to_owned()));
        }
        if ProviderKind::is_word(text) {
            return Err(NameError::ProviderWord(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name an optional argument means: none and the empty text are the default.
    pub fn from_argument(argument: Option<&str>) -> Result<Self, NameError> {
        match argument {
            None | Some("") => Ok(Self::default()),
            Some(text) => Self::parse(text),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the two are one name where file names do not tell upper from lower case.
    pub fn equals_but_for_case(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }

    /// Whether Windows cannot have a directory of this name: a device, or a dot at the end.
    pub fn unfit_for_windows(&self) -> bool {
        const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];
        let stem = self.0.split('.').next().unwrap_or_default().to_lowercase();
        let numbered = ["com", "lpt"].iter().any(|device| {
            stem.strip_prefix(device)
                .is_some_and(|rest| matches!(rest.as_bytes(), [b'0'..=b'9']))
        });
        self.0.ends_with('.') || DEVICES.contains(&stem.as_str()) || numbered
    }
}

/// Checks the name of the user in the guest.
pub fn check_user(text: &str) -> Result<(), NameError> {
    if is_plain_word(text) {
        Ok(())
    } else {
        Err(NameError::UserCharacters(text.to_owned()))
    }
}

/// `[a-zA-Z0-9][a-zA-Z0-9_.-]*`
fn is_plain_word(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphanumeric())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

impl Default for MachineName {
    fn default() -> Self {
        Self(Self::DEFAULT.to_owned())
    }
}

impl fmt::Display for MachineName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl AsRef<str> for MachineName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for MachineName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for MachineName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        Self::parse(&text)
    }
}

impl From<MachineName> for String {
    fn from(name: MachineName) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refusal(text: &str) -> String {
        MachineName::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn texts_are_podmans_and_so_is_their_order() {
        let cases = [
            (
                "a234567890123456789012345678901",
                "machine name \"a234567890123456789012345678901\" must be 30 characters or less",
            ),
            (
                "-234567890123456789012345678901",
                "machine name \"-234567890123456789012345678901\" must be 30 characters or less",
            ),
            (
                "a b",
                "invalid name \"a b\": names must match [a-zA-Z0-9][a-zA-Z0-9_.-]*: invalid argument",
            ),
            (
                "",
                "invalid name \"\": names must match [a-zA-Z0-9][a-zA-Z0-9_.-]*: invalid argument",
            ),
            ("QEMU", "cannot use \"QEMU\" for a machine name"),
            ("wsl", "cannot use \"wsl\" for a machine name"),
        ];
        for (text, expected) in cases {
            assert_eq!(refusal(text), expected);
        }
        assert_eq!(
            check_user("-x").unwrap_err().to_string(),
            "invalid username \"-x\": names must match [a-zA-Z0-9][a-zA-Z0-9_.-]*: invalid argument"
        );
    }

    #[test]
    fn names_that_could_leave_the_directory_are_refused() {
        for text in [
            ".", "..", "../x", "a/b", "a\\b", ".hidden", "a\n", "ä", "a\0",
        ] {
            assert!(
                matches!(MachineName::parse(text), Err(NameError::Characters(_))),
                "{text:?}"
            );
        }
    }

    #[test]
    fn length_is_counted_in_bytes() {
        assert!(MachineName::parse(&"a".repeat(30)).is_ok());
        assert!(matches!(
            MachineName::parse(&"ä".repeat(16)),
            Err(NameError::TooLong(_))
        ));
    }

    #[test]
    fn no_name_is_the_default() {
        for argument in [None, Some("")] {
            assert_eq!(
                MachineName::from_argument(argument).unwrap().as_str(),
                "podman-machine-default"
            );
        }
        assert_eq!(MachineName::from_argument(Some("x")).unwrap().as_str(), "x");
        assert!(MachineName::parse(MachineName::DEFAULT).is_ok());
    }

    #[test]
    fn windows_has_names_of_its_own() {
        for text in ["con", "NUL", "aux.x", "com1", "LPT9.log", "a."] {
            assert!(
                MachineName::parse(text).unwrap().unfit_for_windows(),
                "{text}"
            );
        }
        for text in ["console", "com", "com10", "a.con", "a.b", "nul-1"] {
            assert!(
                !MachineName::parse(text).unwrap().unfit_for_windows(),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn whatever_matches_the_pattern_is_a_name(text in "[a-zA-Z0-9][a-zA-Z0-9_.-]{0,29}") {
            prop_assume!(!ProviderKind::is_word(&text));
            let name = MachineName::parse(&text).unwrap();
            prop_assert_eq!(name.to_string(), text.clone());
            let json = serde_json::to_string(&name).unwrap();
            prop_assert_eq!(serde_json::from_str::<MachineName>(&json).unwrap(), name);
        }

        #[test]
        fn whatever_is_a_name_is_one_plain_path_component(text in any::<String>()) {
            if let Ok(name) = MachineName::parse(&text) {
                let path = std::path::Path::new(name.as_str());
                let components: Vec<_> = path.components().collect();
                prop_assert_eq!(components.len(), 1);
                prop_assert!(matches!(components[0], std::path::Component::Normal(_)));
                prop_assert!(!text.starts_with('.'));
            }
        }

        #[test]
        fn one_foreign_character_spoils_a_name(
            before in "[a-z]{1,8}", foreign in "[^a-zA-Z0-9_.-]", after in "[a-z]{0,8}",
        ) {
            let text = format!("{before}{foreign}{after}");
            prop_assert!(MachineName::parse(&text).is_err());
        }
    }
}
