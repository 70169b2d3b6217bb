//! Asking the host for ports: one request and one reply, over whichever session stands.

use std::time::Duration;

use machine_protocol::link::Link;
use machine_protocol::message::{self, LineBuffer, Target};
use machine_protocol::publish::{MAX_LINE, PublishReply, PublishRequest};
use rustix::time::{ClockId, clock_gettime};
use tokio::time::{Instant, timeout_at};

use crate::linux::guest::Guest;

/// How long one session has to answer while there may be others.
const ONE_SESSION: Duration = Duration::from_secs(6);

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub(super) enum HostError {
    #[error("the machine has no connection to its host at the moment: try again when it has")]
    NoLink,
    #[error("the machine's host did not answer in time")]
    Silent,
    #[error("the machine's host did not answer: {0}")]
    Broken(String),
}

/// Asks over one session after the other, the newest first, until one answers. A request is the same however often it
/// comes.
pub(super) async fn ask_any(
    guest: &Guest,
    request: &PublishRequest,
    deadline: Instant,
) -> Result<PublishReply, HostError> {
    let mut last = HostError::NoLink;
    for link in guest.links() {
        let by = deadline.min(Instant::now() + ONE_SESSION);
        match ask(&link, request, by).await {
            Ok(reply) => return Ok(reply),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Asks over this session.
pub(super) async fn ask(
    link: &Link,
    request: &PublishRequest,
    deadline: Instant,
) -> Result<PublishReply, HostError> {
    let asked = async { exchange(link, request).await.map_err(HostError::Broken) };
    timeout_at(deadline, asked)
        .await
        .unwrap_or(Err(HostError::Silent))
}

async fn exchange(link: &Link, request: &PublishRequest) -> Result<PublishReply, String> {
    let text = |error: &dyn std::error::Error| error.to_string();
    let line = message::to_line_within(request, MAX_LINE).map_err(|error| text(&error))?;
    let stream = link.open(&Target::Publish).map_err(|error| text(&error))?;
    let (mut from, mut to) = stream.into_split();
    to.write_all(&line).await.map_err(|error| text(&error))?;
    to.finish();
    let mut lines = LineBuffer::default();
    while let Some(bytes) = from.read().await.map_err(|error| text(&error))? {
        lines.push(&bytes);
        if let Some(reply) = lines.next_message().map_err(|error| text(&error))? {
            return Ok(reply);
        }
    }
    Err("it closed the stream".to_owned())
}

/// A number above `last`, and above those of an agent that ended before.
pub(super) fn number_after(last: u64) -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    let time = Duration::try_from(time).unwrap_or_default();
    let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    time.max(last.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_grow() {
        let one = number_after(0);
        assert!(one > 1_000_000, "the guest is up for a while");
        assert!(number_after(one) > one);
        assert_eq!(number_after(u64::MAX - 1), u64::MAX);
    }
}
