//! The guest's clock follows the host's.
//!
//! A guest's clock stands still while the host sleeps, while the VM is paused, and runs at its own pace otherwise. The
//! host is the one who knows, so it asks the guest for its time and tells it how far to go. It looks when the link comes
//! up, when the VM goes on after a pause, as soon as the host has slept, and every [`deadlines::CLOCK_CHECK`].
//!
//! That the host slept is told by no event that every system has: it shows when the wall clock and the monotonic clock,
//! which stands still in sleep on Linux and macOS, have gone different ways between two ticks.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use machine_protocol::message::{AgentReply, AgentRequest};

use crate::link::Asker;
use crate::machine::deadlines;

/// A guest whose clock is off by less is left alone: it may be correcting itself by small steps.
const TOLERANCE: Duration = Duration::from_millis(100);
/// An answer that took longer says too little about when the guest read its clock.
const LONGEST_ASKING: Duration = Duration::from_secs(1);
/// Wall and monotonic clock do not tick as one; more than this between two ticks is a sleep, or a clock that was set.
const GAP: Duration = Duration::from_millis(500);
/// A tick that comes this long after the one before: this process was stopped, and the VM's with it, as a rule.
const STOOD_STILL: Duration = Duration::from_secs(3);
/// A guest that has just gone on answers late at first.
const ATTEMPTS: usize = 3;

/// Tells from tick to tick whether it is time to look at the guest's clock.
#[derive(Debug)]
pub(super) struct ClockWatch {
    monotonic: Instant,
    wall: SystemTime,
    looked: Instant,
}

impl ClockWatch {
    pub(super) fn new(monotonic: Instant, wall: SystemTime) -> Self {
        Self {
            monotonic,
            wall,
            looked: monotonic,
        }
    }

    /// Takes the next tick; true when the guest's clock is to be looked at.
    pub(super) fn tick(&mut self, monotonic: Instant, wall: SystemTime) -> bool {
        let ran = monotonic.saturating_duration_since(self.monotonic);
        let passed = match wall.duration_since(self.wall) {
            Ok(passed) => passed.abs_diff(ran),
            Err(backwards) => backwards.duration() + ran,
        };
        (self.monotonic, self.wall) = (monotonic, wall);
        let due = monotonic.saturating_duration_since(self.looked) >= deadlines::CLOCK_CHECK.limit;
        if due || passed > GAP || ran > STOOD_STILL {
            self.looked = monotonic;
            return true;
        }
        false
    }
}

/// How far the guest is behind, from the times around the question and the guest's answer. `None` where the answer is
/// no use, or the guest is right.
fn correction(asked_ns: i64, guest_ns: i64, answered_ns: i64, took: Duration) -> Option<i64> {
    if took > LONGEST_ASKING {
        return None;
    }
    let middle = asked_ns / 2 + answered_ns / 2;
    let behind = middle.saturating_sub(guest_ns);
    // The guest read its clock at some time between question and answer.
    let doubt = took / 2 + TOLERANCE;
    (u128::from(behind.unsigned_abs()) > doubt.as_nanos()).then_some(behind)
}

/// Looks at the guest's clock and sets it where it is off; returns by how many milliseconds.
pub(super) async fn synchronise(agent: Asker) -> Option<i64> {
    let mut delta_ns = None;
    for _ in 0..ATTEMPTS {
        let begun = Instant::now();
        let asked = now_ns();
        let Ok(AgentReply::Clock { unix_ns }) = agent.ask(AgentRequest::ReadClock).await else {
            return None;
        };
        let took = begun.elapsed();
        delta_ns = correction(asked, unix_ns, now_ns(), took);
        if took <= LONGEST_ASKING {
            break;
        }
    }
    let delta_ns = delta_ns?;
    match agent.ask(AgentRequest::StepClock { delta_ns }).await {
        Ok(AgentReply::Accepted) => Some(delta_ns / 1_000_000),
        other => {
            tracing::warn!(?other, "The guest's clock was not set");
            None
        }
    }
}

/// The host's time in nanoseconds since 1970 (UTC).
fn now_ns() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn it_is_time_after_a_sleep_and_after_a_while() {
        let (start, wall) = (Instant::now(), UNIX_EPOCH + 1000 * SECOND);
        let mut watch = ClockWatch::new(start, wall);
        assert!(!watch.tick(start + SECOND, wall + SECOND));
        assert!(
            watch.tick(start + 2 * SECOND, wall + 60 * SECOND),
            "the host slept"
        );
        assert!(!watch.tick(start + 3 * SECOND, wall + 61 * SECOND));
        assert!(
            watch.tick(start + 4 * SECOND, wall + 10 * SECOND),
            "the host's clock was set back"
        );
        let mut stopped = ClockWatch::new(start, wall);
        assert!(
            stopped.tick(start + 5 * SECOND, wall + 5 * SECOND),
            "this process was stopped"
        );
        let later = deadlines::CLOCK_CHECK.limit;
        assert!(watch.tick(start + 4 * SECOND + later, wall + 10 * SECOND + later));
    }

    #[test]
    fn only_what_is_certainly_wrong_is_corrected() {
        let second = 1_000_000_000;
        let quick = Duration::from_millis(2);
        let now = 1_782_000_000 * second;
        assert_eq!(
            correction(now, now - 30 * second, now, quick),
            Some(30 * second)
        );
        assert_eq!(
            correction(now, now + 30 * second, now, quick),
            Some(-30 * second)
        );
        assert_eq!(correction(now, now - 50_000_000, now, quick), None, "50 ms");
        let slow = Duration::from_millis(600);
        let answered = now + 600_000_000;
        assert_eq!(
            correction(now, now, answered, slow),
            None,
            "it may have read its clock at once"
        );
        assert_eq!(
            correction(now, now - 30 * second, now + 2 * second, 2 * SECOND),
            None,
            "the guest stood still between the two"
        );
    }
}
