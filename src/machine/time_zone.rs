//! Names of time zones.

use thiserror::Error;

/// The longest name; the longest real one has 32 bytes.
const LONGEST: usize = 128;

/// A text that names no time zone.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("invalid time zone \"{0}\"")]
pub struct TimeZoneError(pub String);

impl TimeZoneError {
    /// What the user can do about it.
    pub fn hints(&self) -> Vec<String> {
        vec!["time zones are named as `Europe/Berlin`; `local` is the host's".to_owned()]
    }
}

/// Whether the text can be the name of a zone in the zone database: a relative path of plain words.
pub fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-.".contains(&byte);
    text.len() <= LONGEST
        && text
            .split('/')
            .all(|word| !word.is_empty() && !word.starts_with('.') && word.bytes().all(plain))
}

/// Checks the time zone of a machine: a name, `local`, or nothing for the guest's own.
pub fn check(text: &str) -> Result<(), TimeZoneError> {
    if text.is_empty() || is_name(text) {
        Ok(())
    } else {
        Err(TimeZoneError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_others() {
        for name in [
            "UTC",
            "Europe/Berlin",
            "America/Argentina/ComodRivadavia",
            "Etc/GMT+5",
            "America/Port-au-Prince",
            "local",
        ] {
            assert!(is_name(name), "{name}");
        }
        for text in [
            "",
            "/etc/localtime",
            "Europe/",
            "a//b",
            "../etc/shadow",
            "Europe/../x",
            "a b",
            "Zürich",
            "a\nb",
            ":UTC",
            &"x".repeat(129),
        ] {
            assert!(!is_name(text), "{text}");
        }
        assert_eq!(check(""), Ok(()));
        assert_eq!(
            check("a b").unwrap_err().to_string(),
            "invalid time zone \"a b\""
        );
    }
}
