//! Folders of the host: mounted before the engines are asked for the first time, parents before what lies in them.
//!
//! The place of a folder that is not there is made unusable: a small read-only file system with a note in it lies over it.
//! An empty folder would be taken for the host's, and what is written to it would be lost.
//!
//! Applied at each start of the agent; what is mounted already stays.

mod mounts;
mod place;
pub(super) mod touch;

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use machine_protocol::boot::Share;
use machine_protocol::message::{AgentEvent, Part};

use super::guest::Guest;
use super::health::tell;
use super::log::{chain, log, log_error};
use super::mounting::{self, Kernel, Linux, Note, has_selinux, topmost};

/// A device of the host that answers does so in milliseconds; one that does not must not hold up the guest.
const LIMIT: Duration = Duration::from_secs(20);

/// The source of what lies over the place of a missing folder, as the kernel lists it.
const MISSING: &str = "machine-share-missing";
/// The note in it.
const NOTE: &str = "THIS-FOLDER-OF-THE-HOST-IS-MISSING.txt";

/// In one sentence.
type Problem = String;

/// Mounts all folders, and reports. Gives whether one failed that may succeed when the guest has booted.
pub(super) async fn apply(guest: &Rc<Guest>) -> bool {
    if guest.boot.shares.is_empty() {
        return false;
    }
    let lost = guest.lost_shares.lock().await;
    let all_shares = guest.boot.shares.iter();
    // The host knows of the others, and their places are made unusable already.
    let shares: Vec<Share> = all_shares
        .filter(|share| !lost.contains(&share.target))
        .cloned()
        .collect();
    let root = guest.paths.root().to_path_buf();
    let problems = all(Arc::new(Linux), root, &shares).await;
    let may_succeed = shares
        .iter()
        .zip(&problems)
        .any(|(share, problem)| share.problem.is_none() && problem.is_some());
    let problems: Vec<Problem> = problems.into_iter().flatten().collect();
    let problem = (!problems.is_empty()).then(|| problems.join("; "));
    // The same again is no news.
    let news = AgentEvent::Health {
        part: Part::Shares,
        problem: problem.clone(),
    };
    if !guest.events.holds(|event| *event == news) {
        tell(guest, Part::Shares, problem);
    }
    may_succeed
}

/// Gives up a folder whose program on the host has ended: nobody else comes to wait for it. The kernel neither frees those
/// who wait already nor lets go of a virtio-fs without its device's answer, so the folder stays below the note. The host
/// knows why, so it is not told.
pub(super) async fn lose(guest: &Guest, target: String) {
    let mut lost = guest.lost_shares.lock().await;
    let known = guest.boot.shares.iter().any(|share| share.target == target);
    if !known || !lost.insert(target.clone()) {
        return;
    }
    let root = guest.paths.root().to_path_buf();
    // Nothing of it asks the host.
    let work = tokio::task::spawn_blocking(move || give_up(&Linux, &root, &target));
    match work.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => log_error("A folder of the host that is lost may hang", &error),
        Err(error) => log_error("A folder of the host that is lost may hang", &error),
    }
}

fn give_up(kernel: &impl Kernel, root: &Path, target: &str) -> std::io::Result<()> {
    // Following the last part of the path would ask the host.
    let place = root.join(target.trim_start_matches('/'));
    let place = match (place.parent(), place.file_name()) {
        (Some(above), Some(name)) => fs_err::canonicalize(above)?.join(name),
        _ => place,
    };
    block(
        kernel,
        root,
        &place,
        "The program that shares it has ended.",
    )
}

/// What is wrong with each folder.
async fn all(kernel: Arc<impl Kernel>, root: PathBuf, shares: &[Share]) -> Vec<Option<Problem>> {
    let mut problems = Vec::new();
    for share in shares {
        let (kernel, root, owned) = (Arc::clone(&kernel), root.clone(), share.clone());
        // A mount waits for the host.
        let work = tokio::task::spawn_blocking(move || one(&*kernel, &root, &owned));
        let done = match tokio::time::timeout(LIMIT, work).await {
            Ok(Ok(done)) => done,
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("the host did not answer for {} s", LIMIT.as_secs())),
        };
        problems.push(
            done.err()
                .map(|problem| format!("the folder `{}` is missing: {problem}", share.target)),
        );
    }
    problems
}

/// Mounts a folder, or makes its place unusable.
fn one(kernel: &impl Kernel, root: &Path, share: &Share) -> Result<(), Problem> {
    let place = root.join(share.target.trim_start_matches('/'));
    let made = place::make(&place).map_err(|error| place::explain(&chain(&error), &error));
    let place = made.and_then(|()| fs_err::canonicalize(&place).map_err(|error| chain(&error)))?;
    let result = match &share.problem {
        Some(problem) => Err(problem.clone()),
        None => mount(kernel, root, &place, share),
    };
    if let Err(problem) = &result
        && let Err(error) = block(kernel, root, &place, problem)
    {
        log(&format!(
            "`{}` stays usable: {}",
            place.display(),
            chain(&error)
        ));
    }
    result
}

fn mount(kernel: &impl Kernel, root: &Path, place: &Path, share: &Share) -> Result<(), Problem> {
    match topmost(kernel, place).map_err(|error| chain(&error))? {
        Some(there) if there.source == share.tag => return Ok(()),
        Some(there) if there.source == MISSING => {
            kernel.unmount(place).map_err(|error| chain(&error))?;
        }
        _ => {}
    }
    let call = mounts::call(share, has_selinux(root));
    kernel.mount(&call, place).map_err(|error| {
        let kind = call.kind;
        format!(
            "the guest's kernel cannot mount it by {kind}: {}",
            chain(&error)
        )
    })
}

/// Makes the place unusable, once.
fn block(kernel: &impl Kernel, root: &Path, place: &Path, problem: &str) -> std::io::Result<()> {
    let text = format!(
        "A folder of the host belongs here and could not be shared:\n{problem}\n\n\
         Nothing can be written here. `machine list` on the host says what is wrong with the machine.\n"
    );
    let note = Note {
        source: MISSING,
        file: NOTE,
        text: &text,
    };
    mounting::block(kernel, root, place, note)
}

#[cfg(test)]
mod tests;
