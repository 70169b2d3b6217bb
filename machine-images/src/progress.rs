//! How a caller follows and stops the work of this crate.

/// Told about the progress of [`prepare`](crate::prepare), and asked whether to go on.
pub trait Reporter: Send + Sync {
    /// `done` of `total` bytes of the image are in the new disk; holes count as done.
    fn copying(&self, done: u64, total: u64);

    /// Asked after every chunk; the work ends soon after this says `true`.
    fn cancelled(&self) -> bool {
        false
    }
}
