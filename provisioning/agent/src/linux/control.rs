//! The host's requests to the agent itself: one JSON line each, answered by one line.

use std::rc::Rc;

use machine_protocol::link::{Link, MuxStream, ResetCode, StreamError};
use machine_protocol::message::{self, AgentReply, AgentRequest, LineBuffer, LineError};

use super::guest::Guest;
use super::log::{chain, log, log_error};
use super::paths::chosen_engine;
use super::{clock, observe, shares, sockets, systemd};

/// Answers requests until the host says no more.
pub(super) async fn serve(
    stream: MuxStream,
    link: &Link,
    guest: &Rc<Guest>,
) -> Result<(), StreamError> {
    let (mut from, mut to) = stream.into_split();
    let mut lines = LineBuffer::default();
    while let Some(bytes) = from.read().await? {
        lines.push(&bytes);
        loop {
            let reply = match lines.next_message() {
                Ok(Some(request)) => answer(request, link, guest).await,
                Ok(None) => break,
                // A request of a later version; the next line may be one that is known.
                Err(error @ LineError::Json(_)) => AgentReply::Failed {
                    reason: chain(&error),
                },
                Err(error @ LineError::TooLong) => {
                    to.reset_with(ResetCode::Refused, &error.to_string());
                    return Ok(());
                }
            };
            match message::to_line(&reply) {
                Ok(line) => to.write_all(&line).await?,
                Err(error) => {
                    log_error("A reply cannot be written", &error);
                    return Ok(());
                }
            }
        }
    }
    to.finish();
    Ok(())
}

async fn answer(request: AgentRequest, link: &Link, guest: &Rc<Guest>) -> AgentReply {
    match request {
        AgentRequest::PowerOff => {
            log("The host asks for power-off");
            match systemd::power_off(&guest.paths).await {
                Ok(()) => AgentReply::Accepted,
                Err(error) => AgentReply::Failed {
                    reason: error.to_string(),
                },
            }
        }
        AgentRequest::Diagnose => diagnosis(guest).await,
        AgentRequest::Statistics => statistics(link),
        AgentRequest::CarrierLost { carrier } => {
            guest.lose(&carrier);
            AgentReply::Accepted
        }
        AgentRequest::ShareLost { target } => {
            shares::lose(guest, target).await;
            AgentReply::Accepted
        }
        AgentRequest::FilesChanged { target, paths } => {
            shares::touch::files_changed(guest, target, paths).await
        }
        AgentRequest::SetSockets { sockets } => match sockets::set(guest, sockets, link).await {
            Ok(missing) => AgentReply::Sockets { missing },
            Err(reason) => AgentReply::Failed { reason },
        },
        AgentRequest::WatchListeners { on } => {
            guest.listeners.watch(on);
            AgentReply::Accepted
        }
        AgentRequest::SetMode { rootful } => {
            observe::switch(guest, chosen_engine(rootful)).await;
            AgentReply::Accepted
        }
        AgentRequest::ReadClock => AgentReply::Clock {
            unix_ns: clock::now_ns(),
        },
        AgentRequest::StepClock { delta_ns } => match clock::step(delta_ns) {
            Ok(()) => AgentReply::Accepted,
            Err(error) => AgentReply::Failed {
                reason: format!("The clock cannot be set: {error}"),
            },
        },
    }
}

/// As much as can be found out: each part that fails says so in its place.
async fn diagnosis(guest: &Guest) -> AgentReply {
    let engine = guest.engine();
    let (state, failed_units, mut detail) = tokio::join!(
        systemd::state(&guest.paths),
        systemd::failed_units(&guest.paths),
        systemd::journal(&guest.paths, engine)
    );
    let failed_units = failed_units.unwrap_or_else(|error| {
        detail.push(format!("The failed units are not known: {error}"));
        Vec::new()
    });
    AgentReply::Diagnosis {
        state: state.unwrap_or_else(|error| {
            detail.push(format!("The system's state is not known: {error}"));
            "unknown".to_owned()
        }),
        failed_units,
        detail,
    }
}

fn statistics(link: &Link) -> AgentReply {
    let figures = link.statistics();
    let status = fs_err::read_to_string("/proc/self/status").unwrap_or_default();
    AgentReply::Statistics {
        resident_kib: resident_kib(&status).unwrap_or(0),
        streams: figures.streams as u64,
        buffered_bytes: figures.buffered_bytes as u64,
        peak_buffered_bytes: figures.peak_buffered_bytes as u64,
    }
}

/// Resident memory, from `/proc/PID/status`.
fn resident_kib(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim_end().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory() {
        assert_eq!(
            resident_kib("Name:\tagent\nVmRSS:\t    1234 kB\nRssAnon:\t 1 kB\n"),
            Some(1234)
        );
        assert_eq!(resident_kib("Name:\tagent\n"), None);
        let own = fs_err::read_to_string("/proc/self/status").unwrap();
        assert!(resident_kib(&own).is_some_and(|kib| kib > 100));
    }
}
