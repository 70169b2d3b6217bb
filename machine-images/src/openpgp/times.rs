//! Times as OpenPGP has them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds since 1970; none for a clock that stands before.
pub(super) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs()
}

/// A time as text, as RFC 3339 writes it.
pub(super) fn text(seconds: u64) -> String {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map_or_else(
            || format!("{seconds} s after 1970"),
            |time| time.to_string(),
        )
}
