//! Unix: resolv.conf(5).

/// The configuration of the resolver.
pub(super) fn resolver() -> Option<String> {
    fs_err::read_to_string("/etc/resolv.conf").ok()
}
