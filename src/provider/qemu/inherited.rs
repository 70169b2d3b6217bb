//! What QEMU inherits, and how its arguments name that.

use crate::provider::qemu::platform;

/// The number under which QEMU gets the next thing that it inherits.
pub(super) fn number(inherited: &[platform::Inherited]) -> i32 {
    (platform::FIRST_FD..)
        .nth(inherited.len())
        .unwrap_or(platform::FIRST_FD)
}
