//! What the kernel says is mounted. Pure.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// What is mounted somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::linux) struct Mounted {
    /// What it comes from: a device, or a tag.
    pub(in crate::linux) source: String,
}

/// What was mounted last at this very place, from the text of `/proc/self/mountinfo` (`proc_pid_mountinfo(5)`).
pub(in crate::linux) fn topmost(mountinfo: &[u8], place: &Path) -> Option<Mounted> {
    let lines = mountinfo.split(|byte| *byte == b'\n');
    let mut found = None;
    for line in lines {
        let mut fields = line.split(|byte| *byte == b' ');
        // Number, parent, device and root come first.
        if fields.nth(4).map(unescape).as_deref() != Some(place) {
            continue;
        }
        // After the dash: kind and source.
        let source = fields.skip_while(|field| *field != b"-").nth(2);
        found = source.map(|source| Mounted {
            source: unescape(source).to_string_lossy().into_owned(),
        });
    }
    found
}

/// Blanks and the like are written as `\040`.
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, tail @ ..] = rest {
        let octal = match (first, tail) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..]) => {
                Some((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'))
            }
            _ => None,
        };
        bytes.push(octal.unwrap_or(*first));
        rest = if octal.is_some() { &tail[3..] } else { tail };
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_at_the_very_place_counts() {
        let text = b"22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n\
            30 22 0:40 / /a\\040b\\134 rw shared:9 master:2 - virtiofs machine-share-1 rw\n\
            31 22 0:41 / /a rw - tmpfs machine-share-missing ro\n\
            32 31 0:42 / /a rw - virtiofs machine-share-0 rw\n\
            33 32 0:43 / /a/b rw - proc proc rw\n\
            broken line\n";
        let at = |place: &str| topmost(text, Path::new(place)).map(|mounted| mounted.source);
        assert_eq!(at("/a").as_deref(), Some("machine-share-0"));
        assert_eq!(at("/a b\\").as_deref(), Some("machine-share-1"));
        assert_eq!(at("/").as_deref(), Some("/dev/vda1"));
        assert_eq!(at("/a/"), at("/a"));
        assert_eq!(at("/b"), None);
    }

    #[test]
    fn escapes() {
        let bytes = |text: &str| unescape(text.as_bytes()).to_string_lossy().into_owned();
        assert_eq!(bytes("a\\011b\\040ä"), "a\tb ä");
        for plain in ["\\", "\\04", "\\9", "\\400", "a\\x"] {
            assert_eq!(bytes(plain), plain);
        }
    }
}
