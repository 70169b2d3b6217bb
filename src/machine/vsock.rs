//! Whether a machine is to have vsock, and whose.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::word::Word;

/// The vsock that a machine is to have beside its other ways to the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Vsock {
    /// A program's of its own, which needs nothing of the kernel, for when virtio-serial is lost.
    User,
    /// The same, before virtio-serial.
    UserFirst,
    /// None.
    Off,
    /// The host's kernel's, where it offers one. A word of a later version counts as this one.
    #[default]
    #[serde(other)]
    Auto,
}

impl Word for Vsock {
    const ALL: &'static [Self] = &[Self::Auto, Self::User, Self::UserFirst, Self::Off];

    fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::User => "user",
            Self::UserFirst => "user-first",
            Self::Off => "off",
        }
    }
}

impl fmt::Display for Vsock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.word())
    }
}

impl FromStr for Vsock {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Self::from_word(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_in_files_and_on_the_command_line_are_the_same() {
        #[derive(Serialize, Deserialize)]
        struct File {
            #[serde(default)]
            vsock: Vsock,
        }
        for vsock in Vsock::ALL.iter().copied() {
            let text = toml::to_string(&File { vsock }).unwrap();
            assert_eq!(text, format!("vsock = \"{vsock}\"\n"));
            assert_eq!(toml::from_str::<File>(&text).unwrap().vsock, vsock);
            assert_eq!(vsock.word().parse(), Ok(vsock));
        }
        assert_eq!(toml::from_str::<File>("").unwrap().vsock, Vsock::Auto);
        let later = toml::from_str::<File>("vsock = \"quantum\"").unwrap();
        assert_eq!(later.vsock, Vsock::Auto);
        assert!("quantum".parse::<Vsock>().is_err());
    }
}
