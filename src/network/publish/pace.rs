//! How much is told of ports: a guest that opens and closes them without end must not fill the host's disk with events.

use std::time::Duration;

use tokio::time::Instant;

/// So many in each window.
const MOST: u64 = 100;
const WINDOW: Duration = Duration::from_secs(10);

/// Counts what is told.
#[derive(Debug, Default)]
pub(super) struct Pace {
    window: Option<Instant>,
    count: u64,
}

impl Pace {
    /// Whether this one may be told, and how many were not in the window that it ends.
    pub(super) fn step(&mut self, now: Instant) -> (bool, Option<u64>) {
        let mut left_out = None;
        if self
            .window
            .is_none_or(|begun| now.duration_since(begun) >= WINDOW)
        {
            left_out = self.count.checked_sub(MOST).filter(|count| *count > 0);
            self.window = Some(now);
            self.count = 0;
        }
        self.count += 1;
        (self.count <= MOST, left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_told_in_short() {
        let begun = Instant::now();
        let mut pace = Pace::default();
        let told = (0..250).filter(|_| pace.step(begun).0).count();
        assert_eq!(told, 100);
        assert_eq!(pace.step(begun + WINDOW), (true, Some(150)));
        assert_eq!(pace.step(begun + WINDOW * 2), (true, None));
    }
}
