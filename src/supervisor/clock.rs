//! The guest's clock follows the host's.
//!
//! A guest's clock stands still while the host sleeps, while the VM is paused, and runs at its own pace otherwise. The
//! host is the one who knows, so it asks the guest for its time and tells it how far to go. It looks when the link comes
//! up, when the VM goes on after a pause, as soon as the host has slept, and every [`deadlines::CLOCK_CHECK`].
//!
//! That the host slept is told by no event that every system has, and is seen by the clocks between two ticks
//! ([`HostClock`]). On Linux and macOS the monotonic clock stands still in sleep (`CLOCK_MONOTONIC`, `CLOCK_UPTIME_RAW`), so
//! the wall clock has gone another way. On Windows it goes on (`QueryPerformanceCounter`), so a tick comes far too late.

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

/// The two clocks of a host; what they do in its sleep is told [above](self).
pub(super) trait HostClock {
    /// Both at this moment.
    fn read(&self) -> (Instant, SystemTime);
}

/// Those of this system.
#[derive(Clone, Copy, Debug)]
pub(super) struct SystemClock;

impl HostClock for SystemClock {
    fn read(&self) -> (Instant, SystemTime) {
        (Instant::now(), SystemTime::now())
    }
}

/// Tells from tick to tick whether it is time to look at the guest's clock.
#[derive(Debug)]
pub(super) struct ClockWatch {
    monotonic: Instant,
    wall: SystemTime,
    looked: Instant,
}

impl ClockWatch {
    pub(super) fn new(clock: &impl HostClock) -> Self {
        let (monotonic, wall) = clock.read();
        Self {
            monotonic,
            wall,
            looked: monotonic,
        }
    }

    /// Takes the next tick; true when the guest's clock is to be looked at.
    pub(super) fn tick(&mut self, clock: &impl HostClock) -> bool {
        let (monotonic, wall) = clock.read();
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

    struct At(Instant, SystemTime);

    impl HostClock for At {
        fn read(&self) -> (Instant, SystemTime) {
            (self.0, self.1)
        }
    }

    #[test]
    fn it_is_time_after_a_sleep_and_after_a_while() {
        let (start, epoch) = (Instant::now(), UNIX_EPOCH + 1000 * SECOND);
        let at = |monotonic: u32, wall: u32| At(start + monotonic * SECOND, epoch + wall * SECOND);
        let mut watch = ClockWatch::new(&at(0, 0));
        assert!(!watch.tick(&at(1, 1)));
        assert!(watch.tick(&at(2, 60)), "the host slept");
        assert!(!watch.tick(&at(3, 61)));
        assert!(watch.tick(&at(4, 10)), "the host's clock was set back");
        let mut windows = ClockWatch::new(&at(0, 0));
        assert!(
            windows.tick(&at(60, 60)),
            "a host slept whose clock goes on"
        );
        assert!(!windows.tick(&at(61, 61)));
        let mut stopped = ClockWatch::new(&at(0, 0));
        assert!(stopped.tick(&at(5, 5)), "this process was stopped");
        let later = u32::try_from(deadlines::CLOCK_CHECK.limit.as_secs()).unwrap();
        assert!(watch.tick(&at(4 + later, 10 + later)));
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
