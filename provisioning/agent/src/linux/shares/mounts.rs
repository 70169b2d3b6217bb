//! From a folder to the call that mounts it. Pure.

use machine_protocol::boot::{Share, ShareKind};
use rustix::mount::MountFlags;

use crate::linux::mounting::{Call, PLAIN, context, to_data};

/// The bytes of a 9p message, four times the kernel's own: each message costs a turn to the host, so QEMU's manual advises
/// more.
const NINE_P_MESSAGE: u32 = 512 * 1024;

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
}
