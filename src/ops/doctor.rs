//! `doctor`: what is wrong with this host and its machines, why, and what mends it.
//!
//! ```text
//! look (files, sockets, programs) ── facts ──> judge (pure) ──> findings ── --fix ──> fix ──> findings
//! ```
//!
//! A look changes nothing, starts no VM and waits for nobody longer than [`deadlines`](crate::machine::deadlines) say:
//! what lies on a file system that does not answer is told as such. What is wrong with one machine hides no other.
//!
//! The words by which programs know the findings stay the same from release to release:
//!
//! | of the host | |
//! |---|---|
//! | `hypervisor`, `accelerator`, `folders`, `network-program` | the programs that machines need, and what is slow or missing without them |
//! | `agent` | what is put into each guest |
//! | `open-files` | how large the trees can be that guests see |
//! | `data-directory`, `free-space` | where machines lie |
//! | `config`, `containers-conf`, `connections` | files that are read |
//! | `leftovers`, `orphaned-connections` | what killed commands left |
//! | `kept-systems`, `stray-system` | what hypervisors keep: they do not say, or it belongs to no machine |
//! | `unobserved` | the host's files do not answer |
//!
//! | of a machine | |
//! |---|---|
//! | `status` | what it does |
//! | `unreadable`, `unobserved` | its file; its files do not answer |
//! | `degraded`, `unmanaged`, `busy`, `locked` | how it runs |
//! | `stale-sockets`, `not-a-socket` | what is in the place of its sockets |
//! | `connection-missing`, `connection-foreign`, `connection-port` | its pair of podman's connections |
//! | `missing-file`, `not-a-file`, `open-file`, `foreign-owner` | its keys and other small files |
//! | `disk`, `disk-space`, `network` | what its next start needs |
//! | `half-made-system`, `lost-system` | what its hypervisor keeps of it |

mod finding;
mod fix;
mod host;
mod kept;
mod look;
mod machine;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::Path;

use machine_host::directories::Directories;
use tokio::task::JoinSet;

pub use self::finding::{About, Finding, Lost, Mending, Remedy, Severity};
use self::host::Surroundings;
use crate::connection::ConnectionsFile;
use crate::hostconf::HostConf;
use crate::machine::{MachineName, deadlines};
use crate::store::{Store, StoreError};

/// So many machines are looked at at the same time.
const LOOKS: usize = 16;

/// Where everything lies.
#[derive(Clone, Debug)]
pub struct Premises {
    /// The user's directories.
    pub directories: Directories,
    /// The machines.
    pub store: Store,
    /// Podman's connections.
    pub connections: ConnectionsFile,
    /// What is configured.
    pub hostconf: HostConf,
}

/// Looks at the host and at these machines, all of them where none is named; mends what it can where `fix` says so.
///
/// Fails where a machine is named that there is not, or the list of machines cannot be read.
pub async fn examine(
    premises: &Premises,
    names: &[&str],
    fix: bool,
) -> Result<Vec<Finding>, StoreError> {
    let names = machines(premises, names)?;
    let (mut findings, surroundings) = host::examine(premises).await;
    let kept = kept::examine(premises, &names, &surroundings.network.directories).await;
    let (of_host, of_machines): (Vec<_>, Vec<_>) = kept
        .into_iter()
        .partition(|finding| finding.about == About::Host);
    findings.extend(of_host);
    for group in names.chunks(LOOKS) {
        findings.extend(examine_machines(premises, group, &surroundings).await);
    }
    for finding in of_machines {
        // Behind what else is told of the machine.
        let last = findings
            .iter()
            .rposition(|one| one.about == finding.about)
            .map_or(findings.len(), |place| place + 1);
        findings.insert(last, finding);
    }
    if fix {
        for finding in &mut findings {
            fix::mend(finding, premises).await;
        }
    }
    Ok(findings)
}

/// The machines of these names, each once; all of them where none is named.
///
/// Fails where a machine is named that there is not, or the list of machines cannot be read.
pub fn machines(premises: &Premises, names: &[&str]) -> Result<Vec<MachineName>, StoreError> {
    chosen(names, premises.store.names()?)
}

/// The machines that are meant, each once.
fn chosen(words: &[&str], all: Vec<MachineName>) -> Result<Vec<MachineName>, StoreError> {
    if words.is_empty() {
        return Ok(all);
    }
    let not_found = |word: &&str| StoreError::NotFound {
        name: (*word).to_owned(),
    };
    let mut seen = BTreeSet::new();
    let mut names = Vec::new();
    for word in words {
        let name = all.iter().find(|name| name.as_str() == *word);
        let name = name.ok_or_else(|| not_found(word))?;
        if seen.insert(name) {
            names.push(name.clone());
        }
    }
    Ok(names)
}

/// Looks at several machines at the same time; their findings in the order of the names.
async fn examine_machines(
    premises: &Premises,
    names: &[MachineName],
    surroundings: &Surroundings,
) -> Vec<Finding> {
    let mut looks = JoinSet::new();
    for (place, name) in names.iter().enumerate() {
        let (store, name) = (premises.store.clone(), name.clone());
        let network = surroundings.network.clone();
        looks.spawn(async move { (place, look::machine(store, name, network).await) });
    }
    let mut looked = Vec::new();
    while let Some(look) = looks.join_next().await {
        // A look that panicked is an error of this program, which its own words tell.
        looked.extend(look.ok());
    }
    looked.sort_by_key(|(place, _)| *place);
    let judge = |(_, look)| match look {
        look::Look::Gone => Vec::new(),
        look::Look::Silent(name) => vec![silent(About::Machine(name))],
        look::Look::Seen(facts) => machine::judge(&facts, surroundings),
    };
    looked.into_iter().flat_map(judge).collect()
}

/// The files of the host or of a machine do not answer.
fn silent(about: About) -> Finding {
    let seconds = deadlines::DOCTOR_LOOK.limit.as_secs();
    Finding::problem(about, "unobserved", "Its files could not be looked at")
        .because(format!("the file system did not answer within {seconds} s"))
        .hint("see whether the file system of the data directory answers: machine info --paths")
}

/// Runs what reads files, on a thread that nobody waits for when it does not come back: it dies with this process.
pub async fn bounded<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new().name("doctor".to_owned());
    thread
        .spawn(move || {
            // Where nobody receives any more the time was up.
            drop(sender.send(work()));
        })
        .ok()?;
    let answer = tokio::time::timeout(deadlines::DOCTOR_LOOK.limit, receiver).await;
    answer.ok()?.ok()
}

/// A path as texts have it.
fn shown(path: &Path) -> String {
    format!("`{}`", path.display())
}
