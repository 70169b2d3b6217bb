//! Space on the host for a VM that stands still because it found none.
//!
//! No system tells when space comes free, so it is looked for, and only while a VM stands still for the want of it.

use std::io;
use std::path::PathBuf;

use machine_host::facts;
use tokio::time::{MissedTickBehavior, interval_at};

use crate::machine::deadlines;

/// The VM that goes on writes at once what it held back; with less it would stand still again in the same moment.
const ROOM: u64 = 64 << 20;

/// Waits until the file systems of all these directories have room. One that does not answer is waited for.
pub(super) async fn wait(directories: Vec<PathBuf>) {
    wait_by(move || {
        let mut places = directories.iter();
        places.try_fold(u64::MAX, |least, place| {
            Ok(least.min(facts::free_bytes(place)?))
        })
    })
    .await;
}

async fn wait_by(free: impl Fn() -> io::Result<u64> + Clone + Send + 'static) {
    let period = deadlines::HOST_ROOM.limit;
    let mut ticks = interval_at(tokio::time::Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // A network's file system may take its time.
        let free = tokio::task::spawn_blocking(free.clone()).await;
        if matches!(free, Ok(Ok(bytes)) if bytes >= ROOM) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_waits_for_room_and_not_for_a_few_bytes() {
        let answers = [
            Ok(0),
            Err(io::ErrorKind::StaleNetworkFileHandle),
            Ok(ROOM - 1),
            Ok(ROOM),
        ];
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        wait_by(move || Ok(answers[count.fetch_add(1, Ordering::SeqCst)]?)).await;
        assert_eq!(asked.load(Ordering::SeqCst), answers.len());
    }
}
