//! The guest's clock: read for the host, and moved when the host says by how much.

use std::io;

use rustix::time::{ClockId, Timespec, clock_gettime, clock_settime};

use super::log::log;

const SECOND_NS: i128 = 1_000_000_000;

/// The time in nanoseconds since 1970 (UTC).
pub(super) fn now_ns() -> i64 {
    i64::try_from(nanoseconds(clock_gettime(ClockId::Realtime))).unwrap_or(i64::MAX)
}

/// Moves the clock by so many nanoseconds.
pub(super) fn step(delta_ns: i64) -> io::Result<()> {
    let now = nanoseconds(clock_gettime(ClockId::Realtime));
    clock_settime(ClockId::Realtime, timespec(now + i128::from(delta_ns))?)?;
    log(&format!(
        "The clock was moved by {} ms, as the host's is",
        delta_ns / 1_000_000
    ));
    Ok(())
}

fn nanoseconds(time: Timespec) -> i128 {
    i128::from(time.tv_sec) * SECOND_NS + i128::from(time.tv_nsec)
}

fn timespec(ns: i128) -> io::Result<Timespec> {
    let out_of_range = |_| io::Error::from(io::ErrorKind::InvalidInput);
    Ok(Timespec {
        tv_sec: i64::try_from(ns.div_euclid(SECOND_NS)).map_err(out_of_range)?,
        tv_nsec: i64::try_from(ns.rem_euclid(SECOND_NS)).map_err(out_of_range)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_and_after_1970_survive() {
        for ns in [
            0,
            1,
            1_999_999_999,
            -1,
            -1_500_000_000,
            1_782_000_000_123_456_789,
        ] {
            let time = timespec(ns).unwrap();
            assert!((0..1_000_000_000).contains(&time.tv_nsec), "{ns}");
            assert_eq!(nanoseconds(time), ns);
        }
        assert!(timespec(i128::MAX).is_err());
    }

    #[test]
    fn the_time_is_now() {
        assert!(now_ns() > 1_700_000_000_000_000_000);
    }
}
