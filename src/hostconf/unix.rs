//! Unix: system files below `/usr/share` and `/etc`, the user's by XDG.

use super::locations::Convention;

pub(super) const CONVENTION: Convention = Convention::Unix;
