//! Sizes and durations in the words of docker's units, which podman's tables use.

use std::time::Duration;

const SIZES: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// A number of bytes with a binary unit and at most four significant digits: `2GiB`.
pub fn bytes(count: u64) -> String {
    let mut scaled = Scaled { count, divisor: 1 };
    let mut unit = 0;
    while scaled.count / scaled.divisor >= 1024 && unit + 1 < SIZES.len() {
        scaled.divisor *= 1024;
        unit += 1;
    }
    format!("{}{}", scaled.four_digits(), SIZES[unit])
}

/// A count of bytes and how many of them the unit has.
struct Scaled {
    count: u64,
    divisor: u64,
}

impl Scaled {
    /// Go's `%.4g` for numbers from 0 to 1023.99…: without trailing zeros.
    fn four_digits(&self) -> String {
        let whole = self.count / self.divisor;
        let decimals = match whole {
            0..10 => 3,
            10..100 => 2,
            100..1000 => 1,
            _ => 0,
        };
        let power = 10_u128.pow(decimals);
        let (count, divisor) = (u128::from(self.count), u128::from(self.divisor));
        let (floor, rest) = (count * power / divisor, count * power % divisor);
        // Go rounds a tie to the even digit.
        let up = rest * 2 > divisor || (rest * 2 == divisor && floor % 2 == 1);
        let rounded = floor + u128::from(up);
        let (whole, rest) = (rounded / power, rounded % power);
        if rest == 0 {
            return whole.to_string();
        }
        let digits = format!("{rest:0width$}", width = decimals as usize);
        format!("{whole}.{}", digits.trim_end_matches('0'))
    }
}

/// A duration in one rough unit: `About an hour`, `3 days`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let minutes = seconds / 60;
    // Docker rounds hours, and takes the other units from them.
    let hours = (seconds + 1800) / 3600;
    match (seconds, minutes, hours) {
        (0, ..) => "Less than a second".to_owned(),
        (1, ..) => "1 second".to_owned(),
        (2..60, ..) => format!("{seconds} seconds"),
        (_, 1, _) => "About a minute".to_owned(),
        (_, 2..60, _) => format!("{minutes} minutes"),
        (_, _, 1) => "About an hour".to_owned(),
        (_, _, 2..48) => format!("{hours} hours"),
        (_, _, 48..336) => format!("{} days", hours / 24),
        (_, _, 336..1440) => format!("{} weeks", hours / 24 / 7),
        (_, _, 1440..17520) => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", hours / 24 / 365),
    }
}

/// How long ago `then` was: `3 days ago`. A time in the future counts as now.
pub fn ago(then: jiff::Timestamp, now: jiff::Timestamp) -> String {
    let passed = Duration::try_from(now.duration_since(then)).unwrap_or_default();
    format!("{} ago", duration(passed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_dockers() {
        const MIB: u64 = 1 << 20;
        let cases = [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1KiB"),
            (1536, "1.5KiB"),
            (2048 * MIB, "2GiB"),
            (100 << 30, "100GiB"),
            (3000 * MIB, "2.93GiB"),
            (1_234_567_890, "1.15GiB"),
            (1023 * MIB + MIB / 2, "1024MiB"),
            (999 * MIB + MIB / 4, "999.2MiB"),
            (u64::MAX, "16EiB"),
        ];
        for (count, expected) in cases {
            assert_eq!(bytes(count), expected, "{count}");
        }
    }

    #[test]
    fn durations_are_dockers() {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        const DAY: u64 = 24 * HOUR;
        let cases = [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (MINUTE, "About a minute"),
            (2 * MINUTE - 1, "About a minute"),
            (2 * MINUTE, "2 minutes"),
            (59 * MINUTE, "59 minutes"),
            (HOUR, "About an hour"),
            (89 * MINUTE, "About an hour"),
            (90 * MINUTE, "2 hours"),
            (47 * HOUR, "47 hours"),
            (2 * DAY, "2 days"),
            (13 * DAY, "13 days"),
            (14 * DAY, "2 weeks"),
            (59 * DAY, "8 weeks"),
            (60 * DAY, "2 months"),
            (364 * DAY, "12 months"),
            (729 * DAY, "24 months"),
            (730 * DAY, "2 years"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(
                duration(Duration::from_secs(seconds)),
                expected,
                "{seconds}"
            );
        }
    }

    #[test]
    fn the_future_is_now() {
        let now = jiff::Timestamp::UNIX_EPOCH;
        let later = jiff::Timestamp::from_second(90).expect("in range");
        assert_eq!(ago(later, now), "Less than a second ago");
        assert_eq!(ago(now, later), "About a minute ago");
    }
}
