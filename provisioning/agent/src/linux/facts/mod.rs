//! What the guest is to have in common with its host: the host's names, time zone, proxies, swap, certificate authorities,
//! Rosetta.
//!
//! Applied at each start of the agent, each part by itself and all at the same time, before an engine is asked for the
//! first time. Applying twice changes nothing, and what is switched off is taken back. A part that is in use or in
//! trouble is reported; a guest without any of them hears nothing of it.

mod certificates;
mod host_names;
mod proxies;
mod swap;
mod time_zone;
mod translator;

use std::io;

use machine_protocol::message::{AgentEvent, Part};

use super::guest::Guest;
use super::health::tell;
use super::log::chain;
use super::program::Problem;

/// What became of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Applied {
    /// It is not wanted, and there was nothing to take back.
    Unused,
    /// It is as it is wanted.
    Done,
}

/// The host's certificates from the seed, or why they could not be read.
pub(super) type Certificates = Result<Option<Vec<u8>>, Problem>;

const PARTS: [Part; 6] = [
    Part::HostNames,
    Part::TimeZone,
    Part::Proxies,
    Part::Swap,
    Part::Certificates,
    Part::Translator,
];

/// Applies everything, and reports.
pub(super) async fn apply(guest: &Guest, certificates: &Certificates) {
    let [names, zone, proxies, swap, authorities, translator] =
        PARTS.map(|part| apply_part(guest, part, certificates));
    tokio::join!(names, zone, proxies, swap, authorities, translator);
}

/// How a problem reads when a file system was not yet writable.
const READ_ONLY: &str = "Read-only file system";

/// Whether a part was tried before its file system was writable. Then no engine may be asked yet: what is applied later
/// restarts those that run.
pub(super) fn came_too_early(guest: &Guest) -> bool {
    PARTS.into_iter().any(|part| too_early(guest, part))
}

/// Tries once more what came too early: when the guest has booted, file systems are writable that were not before.
pub(super) async fn retry(guest: &Guest, certificates: &Certificates) {
    for part in PARTS {
        if too_early(guest, part) {
            apply_part(guest, part, certificates).await;
        }
    }
}

fn too_early(guest: &Guest, part: Part) -> bool {
    guest.events.holds(|event| {
        matches!(event, AgentEvent::Health { part: of, problem: Some(problem) }
            if *of == part && problem.contains(READ_ONLY))
    })
}

async fn apply_part(guest: &Guest, part: Part, certificates: &Certificates) {
    let (paths, boot) = (&guest.paths, &guest.boot);
    let facts = &boot.facts;
    let applied = match part {
        Part::HostNames => host_names::apply(paths, facts.host_address),
        Part::TimeZone => time_zone::apply(paths, facts.time_zone.as_deref()),
        Part::Proxies => proxies::apply(paths, facts, boot.uid).await,
        Part::Swap => swap::apply(paths, facts.swap_mib).await,
        Part::Certificates => match certificates {
            Ok(wanted) => certificates::apply(paths, wanted.as_deref()).await,
            Err(problem) => Err(problem.clone()),
        },
        Part::Translator => translator::apply(paths, facts.translator.as_deref()).await,
        _ => return,
    };
    match applied {
        Ok(Applied::Unused) => {}
        Ok(Applied::Done) => tell(guest, part, None),
        Err(problem) => tell(guest, part, Some(problem)),
    }
}

/// Puts what was tried before the error.
fn failed(what: &str) -> impl Fn(io::Error) -> Problem + '_ {
    move |error| format!("{what}: {}", chain(&error))
}
