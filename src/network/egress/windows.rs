//! Windows: there is no resolv.conf(5).

/// None.
pub(super) const RESOLVER: Option<&str> = None;
