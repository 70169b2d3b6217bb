//! From a folder to the call that mounts it, and what the kernel says is mounted. Pure.

use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use machine_protocol::boot::{Share, ShareKind};
use rustix::mount::MountFlags;

use super::MISSING;

/// What a folder of the host cannot do to the guest: bring devices and programs that make others of their callers.
pub(super) const PLAIN: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV);

/// The bytes of a 9p message, four times the kernel's own: each message costs a turn to the host, so QEMU's manual advises
/// more.
const NINE_P_MESSAGE: u32 = 512 * 1024;

/// A call of mount(2), its place aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) source: String,
    pub(super) kind: &'static str,
    pub(super) flags: MountFlags,
    pub(super) data: CString,
}

/// The call for a folder.
pub(super) fn call(share: &Share, selinux: bool) -> Call {
    let mut options = Vec::new();
    let kind = match share.kind {
        ShareKind::Virtiofs => "virtiofs",
        ShareKind::NineP => {
            // mmap: nothing is kept between two opens but what is mapped, so that what the host changes is seen.
            options.push(format!(
                "trans=virtio,version=9p2000.L,msize={NINE_P_MESSAGE},cache=mmap"
            ));
            "9p"
        }
    };
    let flags = if share.read_only {
        PLAIN | MountFlags::RDONLY
    } else {
        PLAIN
    };
    options.extend(context(&share.context, selinux));
    Call {
        source: share.tag.clone(),
        kind,
        flags,
        data: to_data(&options),
    }
}

/// The call for what lies over a place whose folder is missing. It is made read-only once the note is in it.
pub(super) fn missing(selinux: bool) -> Call {
    let mut options = vec!["size=64k,nr_inodes=8,mode=0555".to_owned()];
    options.extend(context("system_u:object_r:nfs_t:s0", selinux));
    Call {
        source: MISSING.to_owned(),
        kind: "tmpfs",
        flags: PLAIN,
        data: to_data(&options),
    }
}

/// Kernels without `SELinux` refuse the option.
fn context(context: &str, selinux: bool) -> Option<String> {
    selinux.then(|| format!("context=\"{context}\""))
}

fn to_data(options: &[String]) -> CString {
    // Nothing in it can have a zero byte; a context that has one is none.
    CString::new(options.join(",")).unwrap_or_default()
}

/// Whether the guest runs with `SELinux`.
pub(super) fn has_selinux(root: &Path) -> bool {
    root.join("sys/fs/selinux/enforce").exists()
}

/// What is mounted somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mounted {
    /// What it comes from: a device, or a tag.
    pub(super) source: String,
}

/// What was mounted last at this very place, from the text of `/proc/self/mountinfo` (`proc_pid_mountinfo(5)`).
pub(super) fn topmost(mountinfo: &[u8], place: &Path) -> Option<Mounted> {
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

    fn share(kind: ShareKind, read_only: bool) -> Share {
        Share {
            tag: "machine-share-0".to_owned(),
            kind,
            target: "/a".to_owned(),
            read_only,
            context: "u:r:t:s0:c1,c2".to_owned(),
            problem: None,
        }
    }

    #[test]
    fn calls() {
        let text = |call: &Call| call.data.to_str().unwrap().to_owned();
        let virtiofs = call(&share(ShareKind::Virtiofs, false), false);
        assert_eq!(
            (virtiofs.kind, text(&virtiofs)),
            ("virtiofs", String::new())
        );
        assert_eq!(virtiofs.flags, PLAIN);
        let labelled = call(&share(ShareKind::Virtiofs, true), true);
        assert_eq!(text(&labelled), r#"context="u:r:t:s0:c1,c2""#);
        assert!(labelled.flags.contains(MountFlags::RDONLY));
        let nine_p = call(&share(ShareKind::NineP, false), true);
        assert_eq!(
            (nine_p.kind, text(&nine_p)),
            (
                "9p",
                r#"trans=virtio,version=9p2000.L,msize=524288,cache=mmap,context="u:r:t:s0:c1,c2""#
                    .to_owned()
            )
        );
    }

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
