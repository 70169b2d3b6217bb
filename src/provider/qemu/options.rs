//! The value of one QEMU option: `driver,key=value,…`, with commas in values escaped.

use std::ffi::{OsStr, OsString};

use crate::provider::qemu::platform;

/// An option's value under construction. The only way to put text into QEMU's comma-separated syntax, so that no path
/// or name can add a key of its own.
#[derive(Clone, Debug)]
pub(super) struct OptionValue(OsString);

impl OptionValue {
    /// Begins with a word that needs no key, such as a driver.
    pub(super) fn new(first: &str) -> Self {
        let mut value = OsString::new();
        push_escaped(&mut value, OsStr::new(first));
        Self(value)
    }

    /// Begins with a key.
    pub(super) fn with(key: &str, value: impl AsRef<OsStr>) -> Self {
        let mut start = OsString::from(key);
        start.push("=");
        push_escaped(&mut start, value.as_ref());
        Self(start)
    }

    /// Adds a key. Keys are words of QEMU's.
    pub(super) fn set(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.push(",");
        self.0.push(key);
        self.0.push("=");
        push_escaped(&mut self.0, value.as_ref());
        self
    }

    /// The value as QEMU reads it.
    pub(super) fn into_os_string(self) -> OsString {
        self.0
    }
}

/// QEMU reads two commas as one that belongs to the value.
fn push_escaped(target: &mut OsString, value: &OsStr) {
    let mut pieces = platform::split_at_commas(value).into_iter();
    if let Some(first) = pieces.next() {
        target.push(first);
    }
    for piece in pieces {
        target.push(",,");
        target.push(piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_are_doubled_wherever_they_are() {
        let value = OptionValue::new("file")
            .set("path", ",a,,b,")
            .set("empty", "")
            .set("id", "x");
        assert_eq!(value.into_os_string(), "file,path=,,a,,,,b,,,empty=,id=x");
        assert_eq!(
            OptionValue::with("guest", "a,b").into_os_string(),
            "guest=a,,b"
        );
    }
}
