//! Every wait of this crate, for servers, registries and other commands: how long at most, and why that long.

use std::time::Duration;

/// A connection to a server: its name, its port, its certificate. A distant server needs seconds.
pub(crate) const CONNECT: Duration = Duration::from_secs(15);
/// The next bytes of an answer. A server that prepares a file, and a network that changes, take seconds; who waits longer
/// waits for nobody, and the download goes on where it was by a new connection.
pub(crate) const NEXT_BYTES: Duration = Duration::from_secs(30);
/// A manifest, a login or a token of a registry, all of it. Each is a few kilobytes.
pub(crate) const SMALL_ANSWER: Duration = Duration::from_mins(2);
/// A program that keeps passwords. A key ring may ask its user first.
pub(crate) const CREDENTIAL_HELPER: Duration = Duration::from_mins(1);
/// Another command that downloads the same. A large image over a slow line takes hours; the other's death ends the wait
/// at once.
pub(crate) const SAME_DOWNLOAD: Duration = Duration::from_hours(24);
/// How often the progress of another command's download is looked at while it is waited for.
pub(crate) const GLANCE: Duration = Duration::from_millis(500);
/// How many times in a row a server may fail without having sent anything.
pub(crate) const TRIES: u32 = 5;
/// The longest pause that a server may ask for by `Retry-After`.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// The pause before the next try after `failures` in a row: what the server asks for, else half a second, doubled with
/// each failure.
pub(crate) fn pause(failures: u32, asked: Option<Duration>) -> Duration {
    let own = Duration::from_millis(500) * 2u32.saturating_pow(failures.saturating_sub(1).min(5));
    asked.map_or(own, |asked| asked.clamp(own, LONGEST_PAUSE))
}

/// The pause itself.
#[expect(
    clippy::disallowed_methods,
    reason = "a server that failed tells nobody when it is well again"
)]
pub(crate) async fn rest(pause: Duration) {
    tokio::time::sleep(pause).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_are_bounded() {
        let millis = |failures| pause(failures, None).as_millis();
        assert_eq!((millis(1), millis(2), millis(5)), (500, 1000, 8000));
        assert_eq!(millis(u32::MAX), 16_000);
        assert_eq!(
            pause(1, Some(Duration::from_secs(7))),
            Duration::from_secs(7)
        );
        assert_eq!(pause(1, Some(Duration::from_hours(9))), LONGEST_PAUSE);
        assert_eq!(pause(3, Some(Duration::ZERO)), Duration::from_secs(2));
    }
}
