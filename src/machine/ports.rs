//! Where a machine's ports may listen on the host.

/// Where ports may listen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PortScope {
    /// Wherever it is asked for.
    #[default]
    All,
    /// On the loopback; a port of all addresses has those of the loopback.
    Loopback,
}
