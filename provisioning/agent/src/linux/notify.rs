//! Tells systemd that what waits for the agent may go on (`sd_notify(3)`). Without systemd nobody is told.

use std::time::Duration;

use sd_notify::NotifyState;

use super::log::log_error;

/// A little more than what takes that long.
const MARGIN: Duration = Duration::from_secs(10);

/// The agent has done what comes before the engines.
pub(super) fn ready() {
    if let Err(error) = sd_notify::notify(&[NotifyState::Ready]) {
        log_error("systemd is not told that the agent is ready", &error);
    }
}

/// What comes before may take as long from now on: systemd ends a service whose start takes longer than it allows
/// (`DefaultTimeoutStartSec=` of `systemd-system.conf(5)`, 90 s).
pub(super) fn takes(longest: Duration) {
    let longest = longest.saturating_add(MARGIN).as_micros();
    let longest = u32::try_from(longest).unwrap_or(u32::MAX);
    if let Err(error) = sd_notify::notify(&[NotifyState::ExtendTimeoutUsec(longest)]) {
        log_error("systemd is not told that the agent takes longer", &error);
    }
}
