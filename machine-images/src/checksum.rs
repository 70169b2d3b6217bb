//! The checksum that a user expects of an image, and the one that it has.

use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A SHA-256, written as `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Checksum([u8; 32]);

impl Checksum {
    /// A checksum from its 64 hexadecimal digits alone, as metadata of images give it.
    pub fn from_hex(digits: &str) -> Option<Self> {
        digest(digits).map(Self)
    }
}

/// The text is no checksum.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no checksum: one is written as `sha256:` and 64 hexadecimal digits")]
pub struct ChecksumError {
    text: String,
}

impl Checksum {
    /// The checksum of what was digested.
    pub(crate) fn of(digested: Sha256) -> Self {
        Self(digested.finalize().into())
    }

    /// The 64 digits without the algorithm's name.
    pub fn hex(&self) -> String {
        let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or_default();
        let digits = self.0.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        digits.map(digit).collect()
    }

    /// The checksum of these bytes.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl FromStr for Checksum {
    type Err = ChecksumError;

    fn from_str(text: &str) -> Result<Self, ChecksumError> {
        let digits = text.strip_prefix("sha256:");
        digits
            .and_then(digest)
            .map(Self)
            .ok_or_else(|| ChecksumError {
                text: text.to_owned(),
            })
    }
}

fn digest(digits: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks(2)) {
        let [high, low] = pair else { return None };
        let value = |digit: u8| char::from(digit).to_digit(16);
        *byte = u8::try_from(value(*high)? * 16 + value(*low)?).ok()?;
    }
    Some(bytes)
}

impl TryFrom<String> for Checksum {
    type Error = ChecksumError;

    fn try_from(text: String) -> Result<Self, ChecksumError> {
        text.parse()
    }
}

impl From<Checksum> for String {
    fn from(checksum: Checksum) -> Self {
        checksum.to_string()
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Reads a file once from its beginning to its end, and digests it on the way where that is wanted.
pub(crate) struct Digesting<R> {
    inner: R,
    state: Option<Sha256>,
}

impl<R> Digesting<R> {
    pub(crate) fn new(inner: R, wanted: bool) -> Self {
        Self {
            inner,
            state: wanted.then(Sha256::new),
        }
    }

    pub(crate) fn get_ref(&self) -> &R {
        &self.inner
    }

    /// The checksum of what was read; `None` where none was wanted.
    pub(crate) fn finish(self) -> Option<Checksum> {
        self.state.map(Checksum::of)
    }
}

impl<R: Read> Read for Digesting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if let Some(state) = &mut self.state {
            state.update(&buffer[..count]);
        }
        Ok(count)
    }
}

/// For a caller that goes where it is already.
impl<R: Seek> Seek for Digesting<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn what_is_written_is_read() {
        let checksum: Checksum = ABC.parse().unwrap();
        assert_eq!(checksum.to_string(), ABC);
        let loud = ABC.replace("ba78", "BA78");
        assert_eq!(loud.parse(), Ok(checksum));
        for wrong in [
            "",
            "sha256:",
            &ABC[7..],
            &ABC[..70],
            "sha512:00",
            &format!("{ABC}0"),
        ] {
            let error = wrong.parse::<Checksum>().unwrap_err();
            assert!(
                error
                    .to_string()
                    .starts_with(&format!("`{wrong}` is no checksum"))
            );
        }
        assert_eq!(Checksum::from_hex(&ABC[7..]), Some(checksum));
        assert_eq!(Checksum::from_hex(ABC), None);
        let sign = ABC.replace("ba78", "+a78");
        assert!(sign.parse::<Checksum>().is_err());
    }

    #[test]
    fn reading_digests() {
        let mut reader = Digesting::new(&b"abc"[..], true);
        assert_eq!(io::copy(&mut reader, &mut io::sink()).unwrap(), 3);
        assert_eq!(reader.finish(), Some(ABC.parse().unwrap()));
        assert_eq!(Checksum::of_bytes(b"abc").to_string(), ABC);
        assert_eq!(Digesting::new(&b"abc"[..], false).finish(), None);
    }
}
